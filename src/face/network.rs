//! Networks of convolutions on the CPU, one image at a time, on one thread.

use std::sync::{Mutex, PoisonError};

use super::doubling::double;
use super::kernels::{run, scratch_lines};
use super::plan::{Map, Plan, Step, plan};
use super::tflite;
use super::vector::{Line, floats, floats_mut};
use crate::error::DataError;

/// A network of a TFLite file: its input is an RGB image, its outputs are numbers. Can be shared between threads.
pub struct Network {
    plan: Plan,
    idle: Mutex<Vec<Memory>>,
}

/// The maps of one run.
struct Memory {
    slots: Vec<Vec<Line>>,
    scratch: Vec<Line>,
}

impl Network {
    /// Reads a TFLite file of float32 or float16 weights.
    ///
    /// # Errors
    /// The file is damaged, or has operators that are not supported.
    pub fn from_tflite(bytes: &[u8]) -> Result<Self, DataError> {
        Ok(Self { plan: plan(&tflite::read(bytes)?)?, idle: Mutex::default() })
    }

    /// Height and width of the input.
    #[must_use]
    pub fn input_size(&self) -> [usize; 2] {
        let Map { height, width, .. } = self.plan.slots[0];
        [height, width]
    }

    /// How many numbers each output has.
    pub(super) fn output_lengths(&self) -> Vec<usize> {
        let len = |&(_, map): &(usize, Map)| map.height * map.width * map.channels;
        self.plan.outputs.iter().map(|maps| maps.iter().map(len).sum()).collect()
    }

    /// The outputs for the image whose rows `fill` writes (row number; red, green, blue of every pixel).
    pub fn run(&self, mut fill: impl FnMut(usize, &mut [f32])) -> Vec<Vec<f32>> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = kept.unwrap_or_else(|| self.memory());
        let input = self.plan.slots[0];
        let pixels = floats_mut(&mut memory.slots[0]);
        for y in 0..input.height {
            fill(y, &mut pixels[input.place(0, y)..][..input.width * input.stored()]);
        }
        for step in &self.plan.steps {
            let out_slot = match step {
                Step::Block(block) => block.out_slot,
                Step::Doubling(doubling) => doubling.out_slot,
            };
            let mut out = std::mem::take(&mut memory.slots[out_slot]);
            let (slots, scratch) = (&memory.slots, &mut memory.scratch);
            match step {
                Step::Block(block) => {
                    let residual = block.residual.as_ref().map_or(&[][..], |residual| &slots[residual.slot]);
                    run(block, &slots[block.slot], residual, scratch, &mut out);
                }
                Step::Doubling(doubling) => {
                    let added = doubling.added.map(|slot| floats(&slots[slot]));
                    double(doubling, floats(&slots[doubling.slot]), added, floats_mut(&mut out));
                }
            }
            memory.slots[out_slot] = out;
        }
        let outputs = self.plan.outputs.iter().map(|maps| memory.values(maps)).collect();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        outputs
    }

    fn memory(&self) -> Memory {
        let scratch = |step: &Step| match step {
            Step::Block(block) => scratch_lines(block),
            Step::Doubling(_) => 0,
        };
        let scratch = self.plan.steps.iter().map(scratch).max().unwrap_or(0);
        Memory {
            slots: self.plan.slots.iter().map(|map| vec![Line::ZERO; map.lines()]).collect(),
            scratch: vec![Line::ZERO; scratch],
        }
    }
}

impl Memory {
    /// The numbers of these maps, without borders, one after the other.
    fn values(&self, maps: &[(usize, Map)]) -> Vec<f32> {
        let mut values =
            Vec::with_capacity(maps.iter().map(|(_, map)| map.height * map.width * map.channels).sum());
        for &(slot, map) in maps {
            let stored = floats(&self.slots[slot]);
            for (x, y) in (0..map.height).flat_map(|y| (0..map.width).map(move |x| (x, y))) {
                values.extend_from_slice(&stored[map.place(x, y)..][..map.channels]);
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    /// First, middle and last number of every output, and the mean of all, as LiteRT 2.3.0 computes them.
    type Expected = &'static [[f32; 4]];

    const NETWORKS: [(&[u8], Expected); 3] = [
        (
            include_bytes!("../../python/anrl/faces/weights/face_detection_short_range.tflite"),
            &[
                [0.179_181_56, 0.118_460_53, -18.771_56, 6.237_392_4],
                [-4.458_375_5, -5.009_041_3, -29.762_087, -4.478_717],
            ],
        ),
        (
            include_bytes!("../../python/anrl/faces/weights/face_detection_full_range.tflite"),
            &[
                [-3.393_759_7, -0.956_316_05, -6.355_887_4, 3.543_354_5],
                [-7.772_731, -5.467_170_2, -10.061_769, -6.298_794],
            ],
        ),
        (
            include_bytes!("../../python/anrl/faces/weights/face_landmark.tflite"),
            &[[99.365_51, 24.698_39, 10.894_05, 62.961_567], [-7.794_492_7; 4]],
        ),
    ];

    #[test]
    fn outputs_are_those_of_litert() {
        for (bytes, expected) in NETWORKS {
            let network = Network::from_tflite(bytes).expect("a network");
            // Twice: memory that is used again must not show.
            for _ in 0..2 {
                let outputs = network.run(|y, row| {
                    let start = y * row.len();
                    row.iter_mut()
                        .enumerate()
                        .for_each(|(i, v)| *v = ((start + i) * 7919 % 256) as f32 / 255.0);
                });
                assert_eq!(outputs.len(), expected.len());
                for (output, expected) in outputs.iter().zip(expected) {
                    let mean = output.iter().map(|&v| f64::from(v)).sum::<f64>() / output.len() as f64;
                    let seen = [output[0], output[output.len() / 2], output[output.len() - 1], mean as f32];
                    let error = seen.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(error < 1e-3, "{seen:?} instead of {expected:?}");
                }
            }
        }
    }
}
