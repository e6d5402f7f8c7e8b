//! The kernels that run a block on vectors.

use std::ops::Range;

use super::plan::{BEFORE, Block, Depthwise, Map};
use super::vector::{LANES, Line, Portable, Vector, floats, floats_mut, unit};
use crate::simd::Unit;

/// Lines of the depthwise convolution's output that are computed before the convolution reads them: half of a first
/// level cache.
const SCRATCH_LINES: usize = 320;

/// Lines of scratch memory that a block needs.
pub(super) fn scratch_lines(block: &Block) -> usize {
    block.depthwise.as_ref().map_or(0, |depthwise| rows_at_once(depthwise) * row_lines(depthwise.map))
}

fn row_lines(map: Map) -> usize {
    map.width * map.stored() / LANES
}

fn rows_at_once(depthwise: &Depthwise) -> usize {
    (SCRATCH_LINES / row_lines(depthwise.map)).clamp(1, depthwise.map.height)
}

/// Runs a block.
///
/// # Panics
/// A slice is not as long as the block's maps are.
pub(super) fn run(block: &Block, input: &[Line], residual: &[Line], scratch: &mut [Line], out: &mut [Line]) {
    assert!(input.len() >= block.input.lines() && out.len() >= block.out.lines());
    assert!(scratch.len() >= scratch_lines(block));
    assert!(block.residual.as_ref().is_none_or(|r| residual.len() >= r.map.lines()));
    let (input, residual) = (floats(input), floats(residual));
    let (scratch, out) = (floats_mut(scratch), floats_mut(out));
    #[cfg(target_arch = "x86_64")]
    {
        use super::vector::x86::{Avx2, Avx512};
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        unsafe fn avx512(b: &Block, input: &[f32], residual: &[f32], scratch: &mut [f32], out: &mut [f32]) {
            // SAFETY: the caller's promise.
            unsafe { run_on::<Avx512, 12, 2>(b, input, residual, scratch, out) }
        }
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2(b: &Block, input: &[f32], residual: &[f32], scratch: &mut [f32], out: &mut [f32]) {
            // SAFETY: the caller's promise.
            unsafe { run_on::<Avx2, 6, 1>(b, input, residual, scratch, out) }
        }
        match unit() {
            // SAFETY: the lengths were checked, and `unit` is never wider than what this CPU has.
            Unit::Avx512 => return unsafe { avx512(block, input, residual, scratch, out) },
            // SAFETY: as above.
            Unit::Avx2 => return unsafe { avx2(block, input, residual, scratch, out) },
            Unit::Portable => {}
        }
    }
    // SAFETY: the lengths were checked.
    unsafe { run_on::<Portable, 4, 1>(block, input, residual, scratch, out) }
}

/// # Safety
/// The slices are as long as the block's maps, and the CPU has the unit of `V`.
#[inline(always)]
unsafe fn run_on<V: Vector, const M: usize, const P: usize>(
    block: &Block,
    input: &[f32],
    residual: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
) {
    // SAFETY: the plan's places and sizes lie within the maps, borders included.
    unsafe {
        let Some(depthwise) = &block.depthwise else {
            for y in 0..block.out.height {
                let corner =
                    block.input.place(0, 0) - block.before * (block.input.row() + block.input.stored());
                let from = input.as_ptr().add(corner + y * block.stride * block.input.row());
                let pixels = Pixels {
                    from,
                    step: block.stride * block.input.stored(),
                    row: block.input.row(),
                    first: y * block.out.width,
                    len: block.out.width,
                };
                convolve::<V, M, P>(block, &pixels, residual, out);
            }
            return;
        };
        let (map, step) = (depthwise.map, rows_at_once(depthwise));
        for top in (0..map.height).step_by(step) {
            let rows = step.min(map.height - top);
            for y in top..top + rows {
                let to = scratch.as_mut_ptr().add((y - top) * map.width * map.stored());
                match depthwise.stride {
                    1 => depthwise_row::<V, 1, 4>(depthwise, block.input, input, y, to),
                    _ => depthwise_row::<V, 2, 2>(depthwise, block.input, input, y, to),
                }
            }
            let (first, len) = (top * map.width, rows * map.width);
            let pixels = Pixels { from: scratch.as_ptr(), step: map.stored(), row: 0, first, len };
            convolve::<V, M, P>(block, &pixels, residual, out);
        }
    }
}

/// A row `y` of a depthwise convolution, `N` pixels at a time.
#[inline(always)]
unsafe fn depthwise_row<V: Vector, const STRIDE: usize, const N: usize>(
    depthwise: &Depthwise,
    input: Map,
    from: &[f32],
    y: usize,
    to: *mut f32,
) {
    let (stored, row, width) = (input.stored(), input.row(), depthwise.map.width);
    // SAFETY: the border of the input is as wide as the kernel reaches.
    unsafe {
        let corner = from
            .as_ptr()
            .add((y * STRIDE + BEFORE - depthwise.before) * row + (BEFORE - depthwise.before) * stored);
        for vector in 0..stored / LANES {
            let channel = vector * LANES;
            let mut weights = [V::splat(0.0); 9];
            for (tap, weight) in weights.iter_mut().enumerate() {
                *weight = V::load(floats(&depthwise.weights).as_ptr().add(tap * stored + channel));
            }
            let bias = V::load(floats(&depthwise.bias).as_ptr().add(channel));
            let mut x = 0;
            while x + N <= width {
                taps::<V, STRIDE, N>(
                    corner.add(x * STRIDE * stored + channel),
                    stored,
                    row,
                    &weights,
                    bias,
                    to.add(x * stored + channel),
                );
                x += N;
            }
            while x < width {
                taps::<V, STRIDE, 1>(
                    corner.add(x * STRIDE * stored + channel),
                    stored,
                    row,
                    &weights,
                    bias,
                    to.add(x * stored + channel),
                );
                x += 1;
            }
        }
    }
}

/// One vector of channels of `N` pixels of a depthwise convolution.
#[inline(always)]
unsafe fn taps<V: Vector, const STRIDE: usize, const N: usize>(
    from: *const f32,
    stored: usize,
    row: usize,
    weights: &[V; 9],
    bias: V,
    to: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [bias; N];
        for ky in 0..3 {
            for kx in 0..3 {
                for (n, sum) in sums.iter_mut().enumerate() {
                    let value = V::load(from.add(ky * row + (n * STRIDE + kx) * stored));
                    *sum = value.mul_add(weights[ky * 3 + kx], *sum);
                }
            }
        }
        for (n, sum) in sums.iter().enumerate() {
            sum.store(to.add(n * stored));
        }
    }
}

/// Inputs of a convolution for pixels that follow each other at equal distances.
struct Pixels {
    /// The first input of the first pixel.
    from: *const f32,
    /// Numbers from pixel to pixel.
    step: usize,
    /// Numbers from one row of the kernel to the next.
    row: usize,
    /// The number of the first pixel in the output.
    first: usize,
    len: usize,
}

/// What is added to the sums of a convolution.
mod residual {
    pub const NONE: u8 = 0;
    pub const PIXEL: u8 = 1;
    pub const LARGEST_OF_FOUR: u8 = 2;
}

/// Convolves pixels, `M` at a time, to all vectors of output channels, `P` at a time.
#[inline(always)]
unsafe fn convolve<V: Vector, const M: usize, const P: usize>(
    block: &Block,
    pixels: &Pixels,
    from: &[f32],
    out: &mut [f32],
) {
    let all = block.bias.len();
    // SAFETY: the caller's promise; every vector is computed once.
    unsafe {
        let Some(r) = &block.residual else {
            return vectors::<V, M, P, { residual::NONE }>(block, 0..all, pixels, from, out);
        };
        // A residual with fewer channels is zero in the others.
        let end = all.min(r.map.stored() / LANES);
        if r.is_pooled {
            vectors::<V, M, P, { residual::LARGEST_OF_FOUR }>(block, 0..end, pixels, from, out);
        } else {
            vectors::<V, M, P, { residual::PIXEL }>(block, 0..end, pixels, from, out);
        }
        vectors::<V, M, P, { residual::NONE }>(block, end..all, pixels, from, out);
    }
}

#[inline(always)]
unsafe fn vectors<V: Vector, const M: usize, const P: usize, const R: u8>(
    block: &Block,
    vectors: Range<usize>,
    pixels: &Pixels,
    from: &[f32],
    out: &mut [f32],
) {
    let mut vector = vectors.start;
    // SAFETY: the caller's promise; every vector is computed once.
    unsafe {
        while vector + P <= vectors.end {
            tiles::<V, M, P, R>(block, vector, pixels, from, out);
            vector += P;
        }
        while vector < vectors.end {
            tiles::<V, M, 1, R>(block, vector, pixels, from, out);
            vector += 1;
        }
    }
}

#[inline(always)]
unsafe fn tiles<V: Vector, const M: usize, const P: usize, const R: u8>(
    block: &Block,
    vector: usize,
    pixels: &Pixels,
    residual: &[f32],
    out: &mut [f32],
) {
    let mut m = 0;
    // SAFETY: the caller's promise; every pixel is computed once.
    unsafe {
        while m + M <= pixels.len {
            tile::<V, M, P, R>(block, vector, pixels, m, residual, out);
            m += M;
        }
        while m + 4 <= pixels.len {
            tile::<V, 4, P, R>(block, vector, pixels, m, residual, out);
            m += 4;
        }
        while m < pixels.len {
            tile::<V, 1, P, R>(block, vector, pixels, m, residual, out);
            m += 1;
        }
    }
}

/// `P` vectors of output channels of `M` pixels. Everything is written so that the compiler unrolls the loops over
/// `M` and `P` and keeps the sums in registers.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const P: usize, const R: u8>(
    block: &Block,
    vector: usize,
    pixels: &Pixels,
    m: usize,
    residual: &[f32],
    out: &mut [f32],
) {
    let (channel, inputs) = (vector * LANES, block.inputs());
    let (rows, columns) = (block.kernel[0], inputs / block.kernel[0]);
    // SAFETY: the caller's promise.
    unsafe {
        let mut weights = floats(&block.weights).as_ptr().add(channel * inputs);
        let mut sums = [[V::splat(0.0); P]; M];
        for p in 0..P {
            let bias = V::load(floats(&block.bias).as_ptr().add(channel + p * LANES));
            for sum in &mut sums {
                sum[p] = bias;
            }
        }
        let from = pixels.from.add(m * pixels.step);
        for ky in 0..rows {
            let from = from.add(ky * pixels.row);
            for k in 0..columns {
                let mut weight = [V::splat(0.0); P];
                for (p, weight) in weight.iter_mut().enumerate() {
                    *weight = V::load(weights.add(p * inputs * LANES));
                }
                weights = weights.add(LANES);
                for (i, sum) in sums.iter_mut().enumerate() {
                    let value = V::splat(*from.add(i * pixels.step + k));
                    for p in 0..P {
                        sum[p] = value.mul_add(weight[p], sum[p]);
                    }
                }
            }
        }
        let (next, below) = block.residual.as_ref().map_or((0, 0), |r| (r.map.stored(), r.map.row()));
        let places = block.residual.as_ref().map_or(&block.places, |r| &r.places);
        let zero = V::splat(0.0);
        for p in 0..P {
            let channel = channel + p * LANES;
            let slope = V::load(floats(&block.slope).as_ptr().add(channel));
            for (i, sum) in sums.iter().enumerate() {
                let mut sum = sum[p];
                if R != residual::NONE {
                    let place = *places.get_unchecked(pixels.first + m + i) as usize;
                    let at = residual.as_ptr().add(place + channel);
                    let mut value = V::load(at);
                    if R == residual::LARGEST_OF_FOUR {
                        value = value.max(V::load(at.add(next)));
                        value = value.max(V::load(at.add(below))).max(V::load(at.add(below + next)));
                    }
                    sum = sum.add(value);
                }
                let place = *block.places.get_unchecked(pixels.first + m + i) as usize;
                let value = sum.min(zero).mul_add(slope, sum.max(zero));
                value.store(out.as_mut_ptr().add(place + channel));
            }
        }
    }
}
