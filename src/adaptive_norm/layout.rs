//! Both memory layouts seen as one: pieces of rows, with coefficients that belong to a row's places.

use rayon::prelude::*;

use crate::dtype::Real;
use crate::thread_pool::PARALLEL_FROM;

/// Shape and memory layout of a batch (N, C, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// N.
    pub batch: usize,
    /// C.
    pub channels: usize,
    /// Values in a plane, the product of the spatial dimensions.
    pub size: usize,
    /// Whether the channels of a pixel are neighbors in memory, instead of the pixels of a plane.
    pub channels_last: bool,
}

/// Width of the rows that a contiguous plane is cut into: so many partial sums a reduction keeps.
const PLANE_ROW: usize = 64;

/// Values in a piece that is worth a thread's while.
const PIECE: usize = 1 << 14;

impl Shape {
    /// The number of planes, N·C.
    #[must_use]
    pub fn planes(self) -> usize {
        self.batch * self.channels
    }

    /// The number of values.
    #[must_use]
    pub fn len(self) -> usize {
        self.planes() * self.size
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Width of a row: the channels of a pixel, or some pixels of a plane.
    pub(super) fn row(self) -> usize {
        if self.channels_last { self.channels } else { PLANE_ROW }
    }

    /// Width of a row where nothing is summed: the channels of a pixel, or all of a plane.
    pub(super) fn whole_row(self) -> usize {
        if self.channels_last { self.channels } else { self.size }
    }

    /// How many equal pieces a sample is cut into; never across planes or samples.
    fn pieces_per_sample(self) -> usize {
        if !self.channels_last {
            return self.channels;
        }
        let wanted = (self.size * self.channels).div_ceil(PIECE);
        (wanted..=self.size.min(8 * wanted)).find(|&pieces| self.size.is_multiple_of(pieces)).unwrap_or(1)
    }

    /// Values in a piece.
    pub(super) fn piece(self) -> usize {
        self.channels * self.size / self.pieces_per_sample()
    }

    /// The planes whose coefficients the piece that begins at value `start` uses: one, or all of its sample.
    pub(super) fn planes_of(self, start: usize) -> std::ops::Range<usize> {
        if self.channels_last {
            let first = start / (self.channels * self.size) * self.channels;
            first..first + self.channels
        } else {
            let plane = start / self.size;
            plane..plane + 1
        }
    }

    /// Calls `work` with (piece, its part of `out`), on several threads if there is enough to do.
    pub(super) fn for_each_piece<T: Send>(self, out: &mut [T], work: impl Fn(usize, &mut [T]) + Sync) {
        if self.len() < PARALLEL_FROM {
            out.chunks_exact_mut(self.piece()).enumerate().for_each(|(i, out)| work(i, out));
        } else {
            out.par_chunks_exact_mut(self.piece()).enumerate().for_each(|(i, out)| work(i, out));
        }
    }

    /// The same with two outputs.
    pub(super) fn for_each_piece_of_two<T: Send>(
        self,
        first: &mut [T],
        second: &mut [T],
        work: impl Fn(usize, &mut [T], &mut [T]) + Sync,
    ) {
        let piece = self.piece();
        if self.len() < PARALLEL_FROM {
            let both = first.chunks_exact_mut(piece).zip(second.chunks_exact_mut(piece));
            both.enumerate().for_each(|(i, (a, b))| work(i, a, b));
        } else {
            let both = first.par_chunks_exact_mut(piece).zip(second.par_chunks_exact_mut(piece));
            both.enumerate().for_each(|(i, (a, b))| work(i, a, b));
        }
    }

    /// Sums over every plane. `work` gets a piece and zeroed sums for each place of a row; `write` gets a
    /// plane and its K sums. The order of additions does not depend on the number of threads.
    pub(super) fn reduce<S: Real, const K: usize>(
        self,
        work: impl Fn(usize, [&mut [S]; K]) + Sync + Send,
        mut write: impl FnMut(usize, [S; K]),
    ) {
        let pieces = self.len() / self.piece();
        if !self.channels_last {
            let plane = |piece: usize| {
                let mut sums = [[S::ZERO; PLANE_ROW]; K];
                work(piece, sums.each_mut().map(|row| &mut row[..]));
                sums.map(total)
            };
            self.collect(pieces, plane).into_iter().enumerate().for_each(|(i, sums)| write(i, sums));
            return;
        }
        let partial = self.collect(pieces, |piece| {
            let mut sums: [Vec<S>; K] = std::array::from_fn(|_| vec![S::ZERO; self.channels]);
            work(piece, sums.each_mut().map(|row| &mut row[..]));
            sums
        });
        let per_sample = self.pieces_per_sample();
        for (sample, parts) in partial.chunks(per_sample).enumerate() {
            for channel in 0..self.channels {
                let total = |k: usize| parts.iter().fold(S::ZERO, |sum, part| sum + part[k][channel]);
                write(sample * self.channels + channel, std::array::from_fn(total));
            }
        }
    }

    /// The results of all pieces in order, computed on several threads if there is enough to do.
    fn collect<R: Send>(self, pieces: usize, work: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
        if self.len() < PARALLEL_FROM {
            (0..pieces).map(work).collect()
        } else {
            (0..pieces).into_par_iter().map(work).collect()
        }
    }
}

/// Adds up partial sums pairwise.
fn total<S: Real>(mut sums: [S; PLANE_ROW]) -> S {
    let mut width = PLANE_ROW / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] = sums[i] + sums[i + width];
        }
        width /= 2;
    }
    sums[0]
}

/// K coefficients for every place of a row.
pub(super) trait Coefficients<T, const K: usize>: Copy {
    /// Those of the first `len` places.
    fn cut(self, len: usize) -> Self;
    /// Those of place `i`.
    fn at(self, i: usize) -> [T; K];
}

/// The same coefficients everywhere: a row of one plane.
#[derive(Clone, Copy)]
pub(super) struct Same<T, const K: usize>([T; K]);

impl<T: Copy, const K: usize> Coefficients<T, K> for Same<T, K> {
    #[inline(always)]
    fn cut(self, _: usize) -> Self {
        self
    }
    #[inline(always)]
    fn at(self, _: usize) -> [T; K] {
        self.0
    }
}

/// Coefficients for each channel: a row of one pixel.
#[derive(Clone, Copy)]
pub(super) struct Each<'a, T, const K: usize>([&'a [T]; K]);

impl<T: Copy, const K: usize> Coefficients<T, K> for Each<'_, T, K> {
    #[inline(always)]
    fn cut(self, len: usize) -> Self {
        Self(self.0.map(|values| &values[..len]))
    }
    #[inline(always)]
    fn at(self, i: usize) -> [T; K] {
        self.0.map(|values| values[i])
    }
}

/// Coefficients that planes share.
pub(super) fn same<T: Copy, const K: usize>(arrays: [&[T]; K], plane: usize) -> Same<T, K> {
    Same(arrays.map(|values| values[plane]))
}

/// Coefficients of some planes.
pub(super) fn each<'a, T, const K: usize>(
    arrays: [&'a [T]; K],
    planes: std::ops::Range<usize>,
) -> Each<'a, T, K> {
    Each(arrays.map(|values| &values[planes.clone()]))
}

/// Calls a kernel with the coefficients of the piece that begins at `$start`, in the form of the layout.
macro_rules! with_coefficients {
    ($shape:expr, $start:expr, $arrays:expr, |$coefficients:ident| $call:expr) => {
        let planes = $shape.planes_of($start);
        if $shape.channels_last {
            let $coefficients = each($arrays, planes);
            $call
        } else {
            let $coefficients = same($arrays, planes.start);
            $call
        }
    };
}
pub(super) use with_coefficients;
