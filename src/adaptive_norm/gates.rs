//! The gates: from the spatial mean z (N, C) to the weight g (N, C) of the batch branch, and back.

use super::dual::Number;
use super::matmul::{sum_rows, times, times_transposed, transposed_times};

/// The formula of a gate and its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// g, computed elsewhere; g (N, C).
    Given,
    /// sigmoid(W z + b); W (C, C), b (C).
    OneLayer,
    /// sigmoid(W2 relu(W1 z + b1) + b2); W1 (H, C), b1 (H), W2 (C, H), b2 (C).
    TwoLayer,
    /// clamp(w, 0, 1); w (C).
    Static,
    /// B / (B + I), B = sigmoid(W_B Z), I = sigmoid(W_I Z), Z = relu(W z); W (H, C), W_B and W_I (C, H).
    Dual,
}

impl Gate {
    /// All gates.
    pub const ALL: [Self; 5] = [Self::Given, Self::OneLayer, Self::TwoLayer, Self::Static, Self::Dual];

    /// Its name in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::OneLayer => "1layer",
            Self::TwoLayer => "2layer",
            Self::Static => "static",
            Self::Dual => "dual",
        }
    }

    /// The gate of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gate| gate.name() == name)
    }

    /// Whether parameters of these lengths make a gate for N samples and C channels.
    #[must_use]
    pub fn fits(self, lengths: &[usize], batch: usize, channels: usize) -> bool {
        match (self, lengths) {
            (Self::Given, &[g]) => g == batch * channels,
            (Self::OneLayer, &[w, b]) => w == channels * channels && b == channels,
            (Self::TwoLayer, &[w1, b1, w2, b2]) => {
                b1 > 0 && w1 == b1 * channels && w2 == w1 && b2 == channels
            }
            (Self::Static, &[w]) => w == channels,
            (Self::Dual, &[w, batch, instance]) => {
                w > 0 && w.is_multiple_of(channels) && batch == w && instance == w
            }
            _ => false,
        }
    }
}

/// What a gate computed on the way to g.
pub(super) struct Trace<S> {
    pub(super) g: Vec<S>,
    /// After the ReLU, (N, H).
    hidden: Vec<S>,
    /// B and I of the dual gate.
    branches: [Vec<S>; 2],
}

fn sigmoid<S: Number>(mut x: Vec<S>) -> Vec<S> {
    x.iter_mut().for_each(|x| *x = x.sigmoid());
    x
}

fn relu<S: Number>(mut x: Vec<S>) -> Vec<S> {
    x.iter_mut().for_each(|x| *x = x.relu_mask(*x));
    x
}

/// x·wᵀ + b.
fn layer<S: Number>(x: &[S], w: &[S], b: &[S], rows: usize) -> Vec<S> {
    let mut y = times_transposed(x, w, rows, b.len());
    for row in y.chunks_exact_mut(b.len()) {
        row.iter_mut().zip(b).for_each(|(y, &b)| *y += b);
    }
    y
}

fn zip<S: Number>(a: &[S], b: &[S], f: impl Fn(S, S) -> S) -> Vec<S> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

fn add<S: Number>(to: &mut [S], terms: &[S]) {
    to.iter_mut().zip(terms).for_each(|(to, &term)| *to += term);
}

/// Computes g from z. `parameters` fit the gate, see [`Gate::fits`].
pub(super) fn forward<S: Number>(gate: Gate, parameters: &[Vec<S>], z: &[S], batch: usize) -> Trace<S> {
    let channels = z.len() / batch;
    let (mut hidden, mut branches) = (Vec::new(), [Vec::new(), Vec::new()]);
    let g = match (gate, parameters) {
        (Gate::OneLayer, [w, b]) => sigmoid(layer(z, w, b, batch)),
        (Gate::TwoLayer, [w1, b1, w2, b2]) => {
            hidden = relu(layer(z, w1, b1, batch));
            sigmoid(layer(&hidden, w2, b2, batch))
        }
        (Gate::Dual, [w, w_batch, w_instance]) => {
            hidden = relu(times_transposed(z, w, batch, w.len() / channels));
            branches = [w_batch, w_instance].map(|w| sigmoid(times_transposed(&hidden, w, batch, channels)));
            zip(&branches[0], &branches[1], |b, i| b * (b + i).recip())
        }
        (Gate::Static, [w]) => {
            let clamp = |w: S| {
                if w.value() < 0.0 || w.value() > 1.0 {
                    S::ZERO.chain(w.value().clamp(0.0, 1.0), 0.0)
                } else {
                    w
                }
            };
            (0..z.len()).map(|i| clamp(w[i % channels])).collect()
        }
        (_, given) => given.concat(),
    };
    Trace { g, hidden, branches }
}

/// From dg to the gradients of the parameters, in their order; that of z is added to `dz`.
pub(super) fn backward<S: Number>(
    gate: Gate,
    parameters: &[Vec<S>],
    z: &[S],
    batch: usize,
    trace: &Trace<S>,
    dg: &[S],
    dz: &mut [S],
) -> Vec<Vec<S>> {
    let channels = z.len() / batch;
    // Through g = sigmoid(p), and through hidden = relu(q).
    let through_sigmoid = |g: &[S], dg: &[S]| zip(g, dg, |g, dg| dg * g.sigmoid_slope());
    let through_relu = |dhidden: &[S]| zip(&trace.hidden, dhidden, |hidden, d| hidden.relu_mask(d));
    match (gate, parameters) {
        (Gate::OneLayer, [w, _]) => {
            let dp = through_sigmoid(&trace.g, dg);
            add(dz, &times(&dp, w, batch, channels));
            vec![transposed_times(&dp, z, batch), sum_rows(&dp, batch)]
        }
        (Gate::TwoLayer, [w1, b1, w2, _]) => {
            let dp = through_sigmoid(&trace.g, dg);
            let dq = through_relu(&times(&dp, w2, batch, b1.len()));
            add(dz, &times(&dq, w1, batch, channels));
            vec![
                transposed_times(&dq, z, batch),
                sum_rows(&dq, batch),
                transposed_times(&dp, &trace.hidden, batch),
                sum_rows(&dp, batch),
            ]
        }
        (Gate::Dual, [w, w_batch, w_instance]) => {
            let [b, i] = &trace.branches;
            // dB = dg·I / (B + I)², dI = -dg·B / (B + I)².
            let shared = zip(&zip(b, i, |b, i| (b + i).recip()), dg, |r, dg| dg * r * r);
            let db = through_sigmoid(b, &zip(&shared, i, |s, i| s * i));
            let di = through_sigmoid(i, &zip(&shared, b, |s, b| s * b * -1.0));
            let hidden = w.len() / channels;
            let mut dhidden = times(&db, w_batch, batch, hidden);
            add(&mut dhidden, &times(&di, w_instance, batch, hidden));
            let dq = through_relu(&dhidden);
            add(dz, &times(&dq, w, batch, channels));
            vec![
                transposed_times(&dq, z, batch),
                transposed_times(&db, &trace.hidden, batch),
                transposed_times(&di, &trace.hidden, batch),
            ]
        }
        (Gate::Static, [w]) => {
            let inside = |w: S| (0.0..=1.0).contains(&w.value());
            vec![zip(w, &sum_rows(dg, batch), |w, d| if inside(w) { d } else { S::ZERO })]
        }
        _ => vec![dg.to_vec()],
    }
}
