//! The bare kernels of adaptive normalization: `cargo bench`.

use std::hint::black_box;

use anrl::adaptive_norm::{AdaptiveNorm, Gate, Parameters, Shape, instance_moments, scale_shift};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SHAPE: Shape = Shape { batch: 8, channels: 128, size: 64 * 64, channels_last: false };

fn values(count: usize, phase: f32) -> Vec<f32> {
    (0..count).map(|i| (12.9898 * i as f32 + phase).sin()).collect()
}

fn kernels(criterion: &mut Criterion) {
    for channels_last in [false, true] {
        let shape = Shape { channels_last, ..SHAPE };
        let (len, planes, channels) = (shape.len(), shape.planes(), shape.channels);
        let [x, dy, ddx] = [0.1, 0.7, 3.3].map(|phase| values(len, phase));
        let (mut y, mut z) = (vec![0.0f32; len], vec![0.0f32; len]);
        let (mut mean, mut variance) = (vec![0.0f32; planes], vec![0.0f32; planes]);
        let (scale, shift) = (values(planes, 1.1), values(planes, 2.2));
        let (affine, weight) = (values(channels, 0.4), values(channels * channels, 0.9));
        let norm = AdaptiveNorm { gate: Gate::OneLayer, eps: 1e-5, relu: true };
        let affine = &affine[..];
        let parameters = Parameters {
            weight: affine,
            bias: affine,
            instance_weight: affine,
            instance_bias: affine,
            running: None,
            gate: vec![&weight[..], affine],
        };

        let layout = if channels_last { "channels last" } else { "contiguous" };
        let mut group = criterion.benchmark_group(format!("{layout}, (8, 128, 64, 64)"));
        group.throughput(Throughput::Bytes(4 * len as u64)).sample_size(20);
        // The least that two passes over memory can take.
        group.bench_function("copy", |b| b.iter(|| black_box(&mut y).copy_from_slice(&x)));
        group.bench_function("moments", |b| {
            b.iter(|| instance_moments(black_box(&x), shape, &mut mean, &mut variance));
        });
        group.bench_function("scale, shift, relu", |b| {
            b.iter(|| scale_shift(black_box(&x), shape, &scale, &shift, true, &mut y));
        });
        group.bench_function("forward", |b| {
            b.iter(|| norm.forward(black_box(&x), shape, &parameters, &mut y));
        });
        group.bench_function("backward", |b| {
            b.iter(|| norm.backward(&dy, black_box(&x), shape, &mean, &variance, &parameters, &mut y));
        });
        let gradients = norm.backward(&dy, &x, shape, &mean, &variance, &parameters, &mut y);
        let saved = [&mean[..], &variance, &gradients.dscale, &gradients.dshift];
        group.bench_function("double backward", |b| {
            b.iter(|| {
                let x = black_box(&x);
                norm.double_backward(&ddx, &parameters, &dy, x, shape, saved, &parameters, &mut y, &mut z)
            });
        });
        group.finish();
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
