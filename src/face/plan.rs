//! From the graph of a TFLite file to blocks that run in one go: a depthwise convolution, a convolution, a sum with
//! an earlier map, an activation.

use super::tflite::{Graph, Operator};
use super::vector::{LANES, Line};
use crate::error::DataError;

/// Numbers of the operators in TFLite's list.
mod code {
    pub const ADD: u32 = 0;
    pub const CONCATENATION: u32 = 2;
    pub const CONV_2D: u32 = 3;
    pub const DEPTHWISE_CONV_2D: u32 = 4;
    pub const DEQUANTIZE: u32 = 6;
    pub const MAX_POOL_2D: u32 = 17;
    pub const RELU: u32 = 19;
    pub const RESHAPE: u32 = 22;
    pub const RESIZE_BILINEAR: u32 = 23;
    pub const PAD: u32 = 34;
    pub const PRELU: u32 = 54;
}

/// Columns of zeros on the left and rows of zeros above every map: what the widest kernel reaches over.
pub(super) const BEFORE: usize = 1;
/// The same on the right and below.
const AFTER: usize = 2;

/// The shape of a map: (height, width, channels), stored with a border of zeros, and with channels of zeros up to a
/// whole vector. The three channels of an image are stored as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Map {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Map {
    /// Numbers of a pixel.
    pub fn stored(self) -> usize {
        if self.channels == 3 { 3 } else { self.channels.next_multiple_of(LANES) }
    }

    /// Numbers of a row with its border.
    pub fn row(self) -> usize {
        (self.width + BEFORE + AFTER) * self.stored()
    }

    /// Where the numbers of the pixel (x, y) begin.
    pub fn place(self, x: usize, y: usize) -> usize {
        (y + BEFORE) * self.row() + (x + BEFORE) * self.stored()
    }

    /// Vectors that hold the map.
    pub fn lines(self) -> usize {
        (self.row() * (self.height + BEFORE + AFTER)).div_ceil(LANES)
    }

    fn of(shape: &[usize]) -> Option<Self> {
        let &[1, height, width, channels] = shape else { return None };
        let is_small = |side: &usize| (1..=4096).contains(side);
        let is_sane = [height, width, channels].iter().all(is_small) && height * width * channels <= 1 << 26;
        is_sane.then_some(Self { height, width, channels })
    }
}

/// A 3×3 convolution of every channel by itself.
pub(super) struct Depthwise {
    pub stride: usize,
    pub before: usize,
    /// Of every tap, all channels.
    pub weights: Vec<Line>,
    pub bias: Vec<Line>,
    pub map: Map,
}

/// A map that is added before the activation.
pub(super) struct Residual {
    pub slot: usize,
    pub map: Map,
    /// The largest of 2×2 pixels is added, not the pixel.
    pub is_pooled: bool,
    /// Where the pixel (the first of the four) begins, for every pixel of the output.
    pub places: Vec<u32>,
}

/// Bilinear interpolation to twice the height and width, and optionally a sum.
pub(super) struct Doubling {
    pub slot: usize,
    pub input: Map,
    /// The slot of a map like the output.
    pub added: Option<usize>,
    pub out_slot: usize,
    pub out: Map,
}

/// Optionally a depthwise convolution, a convolution, optionally a sum, and `x < 0 ? slope·x : x`.
pub(super) struct Block {
    pub slot: usize,
    pub input: Map,
    pub depthwise: Option<Depthwise>,
    pub kernel: [usize; 2],
    pub stride: usize,
    pub before: usize,
    /// For every vector of output channels, a vector for every input of the kernel.
    pub weights: Vec<Line>,
    pub bias: Vec<Line>,
    pub slope: Vec<Line>,
    pub residual: Option<Residual>,
    pub out_slot: usize,
    pub out: Map,
    /// Where the pixels of the output begin.
    pub places: Vec<u32>,
}

impl Block {
    /// Numbers that one output of the convolution is a sum over.
    pub fn inputs(&self) -> usize {
        let from = self.depthwise.as_ref().map_or(self.input, |depthwise| depthwise.map);
        self.kernel[0] * self.kernel[1] * from.stored()
    }
}

/// What a network does at a time.
pub(super) enum Step {
    Block(Box<Block>),
    Doubling(Doubling),
}

/// All steps of a network in order, and the memory they use.
pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// The maps in memory; the first is the input.
    pub slots: Vec<Map>,
    /// For every output, slots whose maps follow each other.
    pub outputs: Vec<Vec<(usize, Map)>>,
}

/// What a tensor of the graph is. Maps have the number of the step that writes them plus one; 0 is the input.
#[derive(Clone)]
enum Value {
    Map(usize),
    Pooled(usize),
    Depthwise(usize, usize),
    Joined(Vec<usize>),
}

struct Lowering<'a> {
    graph: &'a Graph<'a>,
    constants: Vec<Option<&'a [f32]>>,
    values: Vec<Option<Value>>,
    uses: Vec<usize>,
    maps: Vec<Map>,
    /// With the numbers of maps in place of slots.
    steps: Vec<Step>,
    depthwise: Vec<Option<Depthwise>>,
}

/// Plans the network.
pub(super) fn plan(graph: &Graph<'_>) -> Result<Plan, DataError> {
    let unsupported = |what: &str| DataError::new(format!("a network that anrl cannot run: {what}"));
    let input = match graph.inputs[..] {
        [input] => Map::of(&graph.tensors[input].shape).filter(|map| map.channels == 3),
        _ => None,
    };
    let input = input.ok_or_else(|| unsupported("its input is not one RGB image"))?;
    let mut uses = vec![0; graph.tensors.len()];
    let read = graph.operators.iter().flat_map(|operator| &operator.inputs);
    read.chain(&graph.outputs).for_each(|&tensor| uses[tensor] += 1);
    let mut values = vec![None; graph.tensors.len()];
    values[graph.inputs[0]] = Some(Value::Map(0));
    let constants = graph.tensors.iter().map(|tensor| tensor.constant.as_deref()).collect();
    let (steps, depthwise) = (Vec::new(), Vec::new());
    let mut lowering = Lowering { graph, constants, values, uses, maps: vec![input], steps, depthwise };
    for (number, operator) in graph.operators.iter().enumerate() {
        let name = || unsupported(&format!("operator {number} (built-in {})", operator.code));
        lowering.lower(operator).ok_or_else(name)?;
    }
    let output = |&tensor: &usize| match lowering.values[tensor].clone()? {
        Value::Map(map) => Some(vec![map]),
        Value::Joined(maps) => Some(maps),
        _ => None,
    };
    let outputs: Option<Vec<_>> = graph.outputs.iter().map(output).collect();
    let outputs = outputs.ok_or_else(|| unsupported("its outputs"))?;
    Ok(allocate(lowering.maps, lowering.steps, &outputs))
}

/// Zeros before and after, so that a kernel covers the input as TFLite's padding SAME or VALID does.
fn padding(valid: bool, size: usize, out: usize, kernel: usize, stride: usize) -> Option<usize> {
    if stride == 0 || kernel == 0 || out == 0 {
        return None;
    }
    let reach = (out - 1).checked_mul(stride)?.checked_add(kernel)?;
    if valid {
        return (reach <= size).then_some(0);
    }
    let total = reach.saturating_sub(size);
    let before = total / 2;
    (before <= BEFORE && total - before <= AFTER).then_some(before)
}

/// Vectors of numbers, zeros at the end.
fn lines(values: &[f32]) -> Vec<Line> {
    let line = |chunk: &[f32]| {
        let mut line = Line::ZERO;
        line.0[..chunk.len()].copy_from_slice(chunk);
        line
    };
    values.chunks(LANES).map(line).collect()
}

fn places(out: Map, place: impl Fn(usize, usize) -> usize) -> Vec<u32> {
    (0..out.height)
        .flat_map(|y| (0..out.width).map(move |x| (x, y)))
        .map(|(x, y)| place(x, y) as u32)
        .collect()
}

impl Lowering<'_> {
    /// Adds an operator; `None` if it is none that blocks can be made of.
    fn lower(&mut self, operator: &Operator<'_>) -> Option<()> {
        let (&first, &out) = (operator.inputs.first()?, operator.outputs.first()?);
        if operator.code == code::DEQUANTIZE {
            self.constants[out] = Some(self.constants[first]?);
            return Some(());
        }
        self.values[out] = Some(match operator.code {
            code::CONV_2D => self.convolution(operator)?,
            code::DEPTHWISE_CONV_2D => self.depthwise(operator)?,
            code::MAX_POOL_2D => self.pool(operator)?,
            code::ADD => self.sum(operator)?,
            code::RELU => self.activation(first, &[0.0])?,
            code::PRELU => self.activation(first, self.constants[*operator.inputs.get(1)?]?)?,
            code::PAD => self.pad(operator)?,
            code::RESIZE_BILINEAR => self.doubling(operator)?,
            code::RESHAPE => self.values[first].clone()?,
            code::CONCATENATION => {
                let map = |&tensor: &usize| match self.values[tensor] {
                    Some(Value::Map(map)) => Some(map),
                    _ => None,
                };
                Value::Joined(operator.inputs.iter().map(map).collect::<Option<_>>()?)
            }
            _ => return None,
        });
        Some(())
    }

    fn shape(&self, tensor: usize) -> Option<Map> {
        Map::of(&self.graph.tensors[tensor].shape)
    }

    /// The weights of a convolution and its bias, with their shape (N, height, width, C) checked.
    fn parameters(&self, operator: &Operator<'_>) -> Option<([usize; 4], &[f32], &[f32])> {
        let &[_, weights, bias] = &operator.inputs[..] else { return None };
        let shape: [usize; 4] = self.graph.tensors[weights].shape[..].try_into().ok()?;
        let (weights, bias) = (self.constants[weights]?, self.constants[bias]?);
        let size = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side))?;
        (weights.len() == size).then_some((shape, weights, bias))
    }

    fn depthwise(&mut self, operator: &Operator<'_>) -> Option<Value> {
        let (&tensor, &out) = (operator.inputs.first()?, operator.outputs.first()?);
        let Value::Map(input) = self.values[tensor].clone()? else { return None };
        let (map, out_map) = (self.maps[input], self.shape(out)?);
        let ([1, 3, 3, channels], weights, bias) = self.parameters(operator)? else { return None };
        let stride = operator.int(1)?;
        let is_plain = operator.byte(4)? == 0 && operator.int(2)? == stride && self.uses[out] == 1;
        let fits = channels == map.channels && channels == out_map.channels && bias.len() == channels;
        if !is_plain || !fits || channels == 3 || !(1..=2).contains(&stride) {
            return None;
        }
        let valid = operator.byte(0)? == 1;
        let before = padding(valid, map.height, out_map.height, 3, stride)?;
        if padding(valid, map.width, out_map.width, 3, stride)? != before {
            return None;
        }
        let weights = weights.chunks(channels).flat_map(lines).collect();
        self.depthwise.push(Some(Depthwise { stride, before, weights, bias: lines(bias), map: out_map }));
        Some(Value::Depthwise(input, self.depthwise.len() - 1))
    }

    fn convolution(&mut self, operator: &Operator<'_>) -> Option<Value> {
        let (&tensor, &out) = (operator.inputs.first()?, operator.outputs.first()?);
        let (number, depthwise) = match self.values[tensor].clone()? {
            Value::Map(map) => (map, None),
            Value::Depthwise(map, depthwise) => (map, self.depthwise[depthwise].take()),
            _ => return None,
        };
        let (input, out) = (self.maps[number], self.shape(out)?);
        let from = depthwise.as_ref().map_or(input, |depthwise| depthwise.map);
        let (shape, weights, bias) = self.parameters(operator)?;
        let [n, height, width, channels] = shape;
        let stride = operator.int(1)?;
        let fits = channels == from.channels && n == out.channels && bias.len() == n && n != 3;
        if !fits || operator.byte(3)? != 0 || operator.int(2)? != stride {
            return None;
        }
        if depthwise.is_some()
            && ((height, width, stride) != (1, 1, 1) || (from.height, from.width) != (out.height, out.width))
        {
            return None;
        }
        let valid = operator.byte(0)? == 1;
        let before = padding(valid, from.height, out.height, height, stride)?;
        if padding(valid, from.width, out.width, width, stride)? != before {
            return None;
        }
        let stored = from.stored();
        let inputs = height * width * stored;
        let mut packed = vec![Line::ZERO; n.div_ceil(LANES) * inputs];
        for (o, weights) in weights.chunks(height * width * channels).enumerate() {
            for (tap, weights) in weights.chunks(channels).enumerate() {
                for (c, &weight) in weights.iter().enumerate() {
                    packed[o / LANES * inputs + tap * stored + c].0[o % LANES] = weight;
                }
            }
        }
        self.steps.push(Step::Block(Box::new(Block {
            slot: number,
            input,
            depthwise,
            kernel: [height, width],
            stride,
            before,
            weights: packed,
            bias: lines(bias),
            slope: vec![Line([1.0; LANES]); n.div_ceil(LANES)],
            residual: None,
            out_slot: self.maps.len(),
            out,
            places: places(out, |x, y| out.place(x, y)),
        })));
        self.maps.push(out);
        Some(Value::Map(self.maps.len() - 1))
    }

    fn doubling(&mut self, operator: &Operator<'_>) -> Option<Value> {
        let (&tensor, &out) = (operator.inputs.first()?, operator.outputs.first()?);
        let Value::Map(map) = self.values[tensor].clone()? else { return None };
        let (input, out) = (self.maps[map], self.shape(out)?);
        // Pixels have their centers at halves.
        let is_plain = operator.byte(2)? == 0 && operator.byte(3)? == 1;
        let is_double = out == Map { height: 2 * input.height, width: 2 * input.width, ..input };
        if !is_plain || !is_double {
            return None;
        }
        self.steps.push(Step::Doubling(Doubling {
            slot: map,
            input,
            added: None,
            out_slot: self.maps.len(),
            out,
        }));
        self.maps.push(out);
        Some(Value::Map(self.maps.len() - 1))
    }

    /// Channels of zeros behind the others: they are stored already, or are added as nothing.
    fn pad(&mut self, operator: &Operator<'_>) -> Option<Value> {
        let &[first, pads] = &operator.inputs[..] else { return None };
        // Integers, of which all but the last are zero; read as float32 like all constants.
        let pads = self.constants[pads]?;
        let behind = pads.len() == 8 && pads[..7].iter().all(|pad| pad.to_bits() == 0);
        self.values[first].clone().filter(|_| behind)
    }

    fn pool(&mut self, operator: &Operator<'_>) -> Option<Value> {
        let (&tensor, &out) = (operator.inputs.first()?, operator.outputs.first()?);
        let Value::Map(map) = self.values[tensor].clone()? else { return None };
        let (from, to) = (self.maps[map], self.shape(out)?);
        let is_plain = operator.byte(5)? == 0 && (1..=4).all(|field| operator.int(field) == Some(2));
        let is_even = (from.height, from.width) == (2 * to.height, 2 * to.width);
        (is_plain && is_even).then_some(Value::Pooled(map))
    }

    fn sum(&mut self, operator: &Operator<'_>) -> Option<Value> {
        let &[a, b] = &operator.inputs[..] else { return None };
        // The step that writes the later of two maps adds the other.
        let number = |tensor: usize| match self.values[tensor] {
            Some(Value::Map(map)) => map,
            _ => 0,
        };
        let (from, to) = if number(a) > number(b) { (b, a) } else { (a, b) };
        let (residual, is_pooled) = match self.values[from].clone()? {
            Value::Map(map) => (map, false),
            Value::Pooled(map) => (map, true),
            _ => return None,
        };
        let (target, map) = (number(to), self.maps[residual]);
        if residual >= target || self.uses[to] != 1 || operator.byte(0)? != 0 || map.channels == 3 {
            return None;
        }
        let scale = if is_pooled { 2 } else { 1 };
        match self.steps.get_mut(target - 1)? {
            Step::Block(block) => {
                let fits = (map.height, map.width) == (scale * block.out.height, scale * block.out.width);
                let is_active = block.slope.iter().any(|slope| slope.0 != [1.0; LANES]);
                if !fits || is_active || map.channels > block.out.channels || block.residual.is_some() {
                    return None;
                }
                let places = places(block.out, |x, y| map.place(scale * x, scale * y));
                block.residual = Some(Residual { slot: residual, map, is_pooled, places });
            }
            Step::Doubling(doubling) => {
                if map != doubling.out || is_pooled || doubling.added.is_some() {
                    return None;
                }
                doubling.added = Some(residual);
            }
        }
        Some(Value::Map(target))
    }

    fn activation(&mut self, tensor: usize, slope: &[f32]) -> Option<Value> {
        let Value::Map(map) = self.values[tensor].clone()? else { return None };
        let Step::Block(block) = self.steps.get_mut(map.checked_sub(1)?)? else { return None };
        let slope = if slope.len() == 1 { vec![slope[0]; block.out.channels] } else { slope.to_vec() };
        if self.uses[tensor] != 1 || slope.len() != block.out.channels {
            return None;
        }
        block.slope = lines(&slope);
        Some(Value::Map(map))
    }
}

impl Step {
    /// The slots that it reads and the one that it writes.
    fn slots(&mut self) -> ([Option<&mut usize>; 2], &mut usize, Map) {
        match self {
            Self::Block(block) => {
                let residual = block.residual.as_mut().map(|residual| &mut residual.slot);
                ([Some(&mut block.slot), residual], &mut block.out_slot, block.out)
            }
            Self::Doubling(doubling) => {
                let reads = [Some(&mut doubling.slot), doubling.added.as_mut()];
                (reads, &mut doubling.out_slot, doubling.out)
            }
        }
    }
}

/// Gives every map a slot of memory, and a slot that nobody reads any more to the next map of its shape.
fn allocate(maps: Vec<Map>, mut steps: Vec<Step>, outputs: &[Vec<usize>]) -> Plan {
    let mut last_read = vec![0; maps.len()];
    for (number, step) in steps.iter_mut().enumerate() {
        step.slots().0.into_iter().flatten().for_each(|map| last_read[*map] = number);
    }
    // The input stays: its border and the caller's pixels are the only things in it.
    last_read[0] = usize::MAX;
    outputs.iter().flatten().for_each(|&map| last_read[map] = usize::MAX);
    let (mut slots, mut slot_of, mut free) = (vec![maps[0]], vec![0; maps.len()], Vec::<usize>::new());
    for (number, step) in steps.iter_mut().enumerate() {
        let (reads, write, map) = step.slots();
        let like = |&slot: &usize| {
            let slot: Map = slots[slot];
            (slot.height, slot.width, slot.stored()) == (map.height, map.width, map.stored())
        };
        slot_of[*write] = match free.iter().position(like) {
            Some(at) => free.swap_remove(at),
            None => {
                slots.push(map);
                slots.len() - 1
            }
        };
        *write = slot_of[*write];
        reads.into_iter().flatten().for_each(|map| *map = slot_of[*map]);
        free.extend((1..=number).filter(|&map| last_read[map] == number).map(|map| slot_of[map]));
    }
    let output = |list: &Vec<usize>| list.iter().map(|&map| (slot_of[map], maps[map])).collect();
    Plan { steps, outputs: outputs.iter().map(output).collect(), slots }
}
