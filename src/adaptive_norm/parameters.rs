//! The parameters of a layer, by name.

/// The arrays that a layer has beside its input, each an `A`. Their gradients have the same form.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters<A> {
    /// Weight of the batch branch, (C).
    pub weight: A,
    /// Bias of the batch branch, (C).
    pub bias: A,
    /// Weight of the instance branch, (C).
    pub instance_weight: A,
    /// Bias of the instance branch, (C).
    pub instance_bias: A,
    /// Running mean and variance, (C), which the batch branch uses instead of the batch's if they are given.
    pub running: Option<[A; 2]>,
    /// Those of the gate, in the order that [`Gate`](super::Gate) lists them.
    pub gate: Vec<A>,
}

impl<A> Parameters<A> {
    /// Names the arrays of a list, which has the order of the fields; `None` if the list is too short.
    #[must_use]
    pub fn from_list(list: impl IntoIterator<Item = A>, running: bool) -> Option<Self> {
        let mut list = list.into_iter();
        Some(Self {
            weight: list.next()?,
            bias: list.next()?,
            instance_weight: list.next()?,
            instance_bias: list.next()?,
            running: if running { Some([list.next()?, list.next()?]) } else { None },
            gate: list.collect(),
        })
    }

    /// The arrays with one value for each channel.
    pub fn per_channel(&self) -> impl Iterator<Item = &A> {
        let affine = [&self.weight, &self.bias, &self.instance_weight, &self.instance_bias];
        affine.into_iter().chain(self.running.iter().flatten())
    }

    /// All arrays, in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = &A> {
        self.per_channel().chain(&self.gate)
    }

    /// Other arrays made of these.
    #[must_use]
    pub fn map<B>(&self, f: impl Fn(&A) -> B) -> Parameters<B> {
        Parameters {
            weight: f(&self.weight),
            bias: f(&self.bias),
            instance_weight: f(&self.instance_weight),
            instance_bias: f(&self.instance_bias),
            running: self.running.as_ref().map(|running| running.each_ref().map(&f)),
            gate: self.gate.iter().map(&f).collect(),
        }
    }

    /// Arrays made of these and of `others`, pair by pair. `others` have the same form.
    pub(super) fn zip<B, C>(&self, others: &Parameters<B>, f: impl Fn(&A, &B) -> C) -> Parameters<C> {
        let running = self.running.as_ref().zip(others.running.as_ref());
        Parameters {
            weight: f(&self.weight, &others.weight),
            bias: f(&self.bias, &others.bias),
            instance_weight: f(&self.instance_weight, &others.instance_weight),
            instance_bias: f(&self.instance_bias, &others.instance_bias),
            running: running.map(|([mean, variance], [b, c])| [f(mean, b), f(variance, c)]),
            gate: self.gate.iter().zip(&others.gate).map(|(a, b)| f(a, b)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Parameters;

    #[test]
    fn a_list_is_named_in_its_order() {
        assert_eq!(Parameters::from_list(0..3, false), None);
        assert_eq!(Parameters::from_list(0..5, true), None);
        for running in [false, true] {
            let parameters = Parameters::from_list(0..8, running).expect("long enough");
            assert_eq!(parameters.running, running.then_some([4, 5]));
            assert!(parameters.iter().copied().eq(0..8));
            assert!(parameters.map(|i| 10 * i).iter().copied().eq((0..80).step_by(10)));
        }
    }
}
