//! From the moments of every plane to its scale and shift: both normalizations, the gate, their mixture.
//! All on (N, C) arrays, in float64.

use super::Parameters;
use super::dual::Number;
use super::gates::{self, Gate};

/// What scale and shift depend on. Gradients have the same form.
pub(super) struct Inputs<S> {
    /// Of every plane, (N, C).
    pub(super) mean: Vec<S>,
    /// Biased, of every plane, (N, C).
    pub(super) variance: Vec<S>,
    pub(super) parameters: Parameters<Vec<S>>,
}

/// What does not change with the inputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mixture {
    pub(super) batch: usize,
    pub(super) eps: f64,
    pub(super) gate: Gate,
}

/// Scale and shift of both branches and of their mixture.
struct Trace<S> {
    scale: Vec<S>,
    shift: Vec<S>,
    gate: gates::Trace<S>,
    batch_mean: Vec<S>,
    /// (variance + eps)^-½ of the batch branch, (C), and of the instance branch, (N, C).
    batch_root: Vec<S>,
    instance_root: Vec<S>,
    /// Scale and shift of the batch branch, (C).
    batch_line: [Vec<S>; 2],
}

/// Mean and biased variance over samples and pixels, (C), by the law of total variance, which does not cancel
/// at large means.
pub(super) fn batch_moments<S: Number>(mean: &[S], variance: &[S], batch: usize) -> [Vec<S>; 2] {
    let (channels, share) = (mean.len() / batch, (batch as f64).recip());
    let average = |term: &dyn Fn(usize) -> S| -> Vec<S> {
        let sum = |c| (0..batch).fold(S::ZERO, |sum, n| sum + term(n * channels + c));
        (0..channels).map(|c| sum(c) * share).collect()
    };
    let center = average(&|i| mean[i]);
    let total_variance = average(&|i| {
        let distance = mean[i] - center[i % channels];
        variance[i] + distance * distance
    });
    [center, total_variance]
}

impl Mixture {
    fn trace<S: Number>(&self, inputs: &Inputs<S>) -> Trace<S> {
        let Inputs { mean, variance, parameters } = inputs;
        let Parameters { weight, bias, instance_weight, instance_bias, running, gate } = parameters;
        let channels = weight.len();
        let [batch_mean, batch_variance] =
            running.clone().unwrap_or_else(|| batch_moments(mean, variance, self.batch));
        let eps = S::ZERO.chain(self.eps, 0.0);
        let root = |v: &Vec<S>| -> Vec<S> { v.iter().map(|&v| (v + eps).rsqrt()).collect() };
        let (batch_root, instance_root) = (root(&batch_variance), root(variance));
        let gate = gates::forward(self.gate, gate, mean, self.batch);
        let batch_scale: Vec<S> = (0..channels).map(|c| weight[c] * batch_root[c]).collect();
        let batch_shift: Vec<S> = (0..channels).map(|c| bias[c] - batch_scale[c] * batch_mean[c]).collect();
        let (scale, shift) = (0..mean.len())
            .map(|i| {
                let c = i % channels;
                let own_scale = instance_weight[c] * instance_root[i];
                let own_shift = instance_bias[c] - own_scale * mean[i];
                let g = gate.g[i];
                (own_scale + g * (batch_scale[c] - own_scale), own_shift + g * (batch_shift[c] - own_shift))
            })
            .unzip();
        let batch_line = [batch_scale, batch_shift];
        Trace { scale, shift, gate, batch_mean, batch_root, instance_root, batch_line }
    }

    /// Scale and shift of every plane.
    pub(super) fn forward<S: Number>(&self, inputs: &Inputs<S>) -> [Vec<S>; 2] {
        let trace = self.trace(inputs);
        [trace.scale, trace.shift]
    }

    /// Scale and shift, and the gradients of `inputs` from those of scale and shift, which `sums` makes.
    pub(super) fn gradient<S: Number>(
        &self,
        inputs: &Inputs<S>,
        sums: impl FnOnce(&[Vec<S>; 2]) -> [Vec<S>; 2],
    ) -> ([Vec<S>; 2], Inputs<S>) {
        let Trace { scale, shift, gate, batch_mean, batch_root, instance_root, batch_line } =
            self.trace(inputs);
        let line = [scale, shift];
        let [dscale, dshift] = sums(&line);

        let Inputs { mean, parameters, .. } = inputs;
        let Parameters { weight, instance_weight, instance_bias, .. } = parameters;
        let (planes, channels) = (mean.len(), weight.len());
        let new = |len| vec![S::ZERO; len];
        let (mut dmean, mut dvariance, mut dg) = (new(planes), new(planes), new(planes));
        let [mut dweight, mut dbias, mut dinstance_weight, mut dinstance_bias] =
            [(); 4].map(|()| new(channels));
        let mut dbatch_scale = new(channels);
        // y = scale·x + shift with scale = own + g·(batch - own), and the same for the shift.
        for i in 0..planes {
            let (c, g, root) = (i % channels, gate.g[i], instance_root[i]);
            let own_scale = instance_weight[c] * root;
            let own_shift = instance_bias[c] - own_scale * mean[i];
            let (through_scale, through_shift) = (g * dscale[i], g * dshift[i]);
            dbatch_scale[c] += through_scale;
            dbias[c] += through_shift;
            dg[i] = dscale[i] * (batch_line[0][c] - own_scale) + dshift[i] * (batch_line[1][c] - own_shift);
            let down = dshift[i] - through_shift;
            let slope = (dscale[i] - through_scale) - down * mean[i];
            dinstance_bias[c] += down;
            dinstance_weight[c] += slope * root;
            dmean[i] = down * own_scale * -1.0;
            dvariance[i] = slope * own_scale * root * root * -0.5;
        }
        let (mut dbatch_mean, mut dbatch_variance) = (new(channels), new(channels));
        for c in 0..channels {
            let (root, scale) = (batch_root[c], batch_line[0][c]);
            let slope = dbatch_scale[c] - dbias[c] * batch_mean[c];
            dweight[c] = slope * root;
            dbatch_mean[c] = dbias[c] * scale * -1.0;
            dbatch_variance[c] = slope * scale * root * root * -0.5;
        }
        let dgate = gates::backward(self.gate, &parameters.gate, mean, self.batch, &gate, &dg, &mut dmean);
        let running = parameters.running.is_some();
        if !running {
            let share = (self.batch as f64).recip();
            for i in 0..planes {
                let c = i % channels;
                let distance = (mean[i] - batch_mean[c]) * 2.0;
                dmean[i] += (dbatch_mean[c] + dbatch_variance[c] * distance) * share;
                dvariance[i] += dbatch_variance[c] * share;
            }
        }
        let parameters = Parameters {
            weight: dweight,
            bias: dbias,
            instance_weight: dinstance_weight,
            instance_bias: dinstance_bias,
            running: running.then_some([dbatch_mean, dbatch_variance]),
            gate: dgate,
        };
        (line, Inputs { mean: dmean, variance: dvariance, parameters })
    }
}
