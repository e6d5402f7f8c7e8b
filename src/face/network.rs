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
