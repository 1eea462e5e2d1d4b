//! One decoder layer, forward and backward by hand.
//!
//! Shapes: T tokens, H hidden, C columns of queries, keys and values together, A columns of all query heads, I intermediate. Buffers of a projection's
//! input or output gradient have its ranks' columns behind (see `projection`).

use crate::Error;
use crate::attention::{Attention, WindowMasks};
use crate::key_value_cache::KeyValueCache;
use crate::lora::Dropout;
use crate::projection::Projection;
use crate::rms_norm::RmsNorm;
use crate::rope::RotaryTable;
use crate::swiglu;
use crate::workspace::{Keep, Kept, Workspace};
use std::ops::Range;
use tch::Tensor;

/// One decoder layer.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) input_norm: RmsNorm,
    pub(crate) qkv: Projection,
    /// Norms of query and key heads (Qwen3).
    pub(crate) head_norms: Option<[RmsNorm; 2]>,
    pub(crate) attention: Attention,
    pub(crate) output: Projection,
    pub(crate) feed_forward_norm: RmsNorm,
    pub(crate) gate_up: Projection,
    pub(crate) down: Projection,
}

/// What all layers of one pass over a micro-batch share.
pub(crate) struct Pass<'a> {
    pub(crate) workspace: &'a mut Workspace,
    pub(crate) rope: &'a RotaryTable,
    pub(crate) masks: &'a mut WindowMasks,
    pub(crate) sequences: Vec<Range<usize>>,
    /// `[T]`
    pub(crate) positions: Vec<i64>,
    /// Rows that are worked on: T, or N in the last layer after attention.
    pub(crate) rows: usize,
    /// None where the last layer's output is wanted for all rows.
    pub(crate) targets: Option<Targets>,
    /// Whether `rows` are the targets.
    pub(crate) at_targets: bool,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) keep: Keep,
    /// When generating: what came before this pass's one sequence.
    pub(crate) cache: Option<&'a mut KeyValueCache>,
    /// A layer's log-sum-exps of attention, a sequence each.
    pub(crate) normalisers: Vec<Vec<Tensor>>,
}

/// The rows that losses are computed from. After the last layer's attention nothing else matters.
pub(crate) struct Targets {
    count: usize,
    /// `[N]` on the model's device.
    rows: Tensor,
    dropout: Option<Dropout>,
}

impl Targets {
    /// `rows` holds `target_rows`; `dropout` has the masks of all rows.
    pub(crate) fn new(target_rows: &[i64], dropout: Option<&Dropout>, rows: Tensor) -> Self {
        Self { count: target_rows.len(), rows, dropout: dropout.map(|dropout| dropout.select(target_rows)) }
    }

    /// The target rows of `from`, written to `to`.
    fn gather(&self, from: &Tensor, to: &Tensor) {
        to.shallow_clone().copy_(&from.index_select(0, &self.rows));
    }

    /// `to` with the target rows of `from`, and zeros elsewhere.
    fn scatter(&self, from: &Tensor, to: &Tensor) {
        let mut to = to.shallow_clone();
        let _ = to.zero_();
        let _ = to.index_copy_(0, &self.rows, from);
    }
}

impl Pass<'_> {
    fn kept(&mut self, name: &'static str, layer: usize, columns: usize) -> Kept {
        self.workspace.kept(name, layer, self.keep, self.rows, columns)
    }

    fn scratch(&mut self, name: &'static str, columns: usize) -> Tensor {
        self.workspace.scratch(name, self.rows, columns)
    }

    /// Goes on with target rows only, or with all rows again.
    fn toggle_targets(&mut self) {
        if let Some(targets) = &mut self.targets {
            std::mem::swap(&mut self.rows, &mut targets.count);
            std::mem::swap(&mut self.dropout, &mut targets.dropout);
            self.at_targets = !self.at_targets;
        }
    }

    /// Keeps the columns that a projection put behind its input.
    fn keep_ranks(&mut self, name: &'static str, layer: usize, projection: &Projection, x: &Tensor) {
        let ranks = projection.ranks();
        if ranks > 0 && self.keep == Keep::ForBackward {
            let kept = self.kept(name, layer, ranks);
            kept.work.shallow_clone().copy_(&x.narrow(1, projection.in_features as i64, ranks as i64));
            kept.keep();
        }
    }

    fn restore_ranks(&mut self, name: &'static str, layer: usize, projection: &Projection) -> Option<Tensor> {
        let ranks = projection.ranks();
        (ranks > 0).then(|| self.kept(name, layer, ranks).restore())
    }
}

/// The residual stream between layers, with its last addition still to be done.
pub(crate) enum Residual {
    /// `[T, H]`, in the first layer's own buffer.
    Whole,
    /// `h_TH + y_TH`.
    Sum { h: Tensor, y: Tensor },
}

/// The first columns of a buffer.
pub(crate) fn front(buffer: &Tensor, columns: usize) -> Tensor {
    buffer.narrow(1, 0, columns as i64)
}

impl Block {
    /// Columns of queries, keys and values together, C.
    fn qkv_columns(&self) -> usize {
        self.qkv.out_features
    }

    /// Heads that are rotated: queries and keys stand side by side.
    fn rotated_heads(&self) -> usize {
        self.attention.heads + self.attention.key_value_heads
    }

    /// Runs the layer. A whole residual is read from the layer's own buffer, [`Block::input`].
    /// The `last` layer goes on with target rows only once attention is done.
    pub(crate) fn forward(&self, layer: usize, residual: Residual, last: bool, pass: &mut Pass<'_>) -> Result<Residual, Error> {
        let (hidden, width) = (self.qkv.in_features, self.output.in_features);
        let h = self.input(layer, pass);
        let x = pass.scratch("x_qkv", self.qkv.extended_in());
        match residual {
            Residual::Whole => self.input_norm.forward(&h.work, &front(&x, hidden)),
            Residual::Sum { h: before, y } => self.input_norm.add_forward(&before, &y, &h.work, &front(&x, hidden)),
        }
        h.keep();
        let qkv = self.rotated(layer, &x, pass);
        let attended = pass.kept("attention", layer, self.output.extended_in());
        let normalisers = match &mut pass.cache {
            None => self.attention.forward(&qkv, &attended.work, &pass.sequences, pass.masks)?,
            Some(cache) => {
                cache.attend(layer, &self.attention, &qkv, &attended.work)?;
                Vec::new()
            }
        };
        if pass.keep == Keep::ForBackward {
            pass.normalisers.push(normalisers);
        }
        let mut h = h.work;
        let mut output_input = attended;
        if last && pass.targets.is_some() {
            output_input.keep();
            pass.toggle_targets();
            let attended_N = pass.kept("attention_targets", layer, self.output.extended_in());
            let h_N = pass.scratch("h_targets", hidden);
            if let Some(targets) = &pass.targets {
                targets.gather(&front(&output_input.work, width), &front(&attended_N.work, width));
                targets.gather(&h, &h_N);
            }
            (h, output_input) = (h_N, attended_N);
        }
        let y = pass.scratch("y", hidden);
        self.output.forward(&output_input.work, &y, pass.dropout.as_ref(), pass.workspace);
        output_input.keep();
        Ok(self.feed_forward(layer, &h, &y, pass))
    }

    /// Where the layer's input is kept.
    pub(crate) fn input(&self, layer: usize, pass: &mut Pass<'_>) -> Kept {
        pass.kept("h_attention", layer, self.qkv.in_features)
    }

    /// `[T, C]` queries, keys and values from the normalised input, queries and keys rotated.
    fn rotated(&self, layer: usize, x: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let qkv = pass.kept("qkv", layer, self.qkv_columns());
        self.qkv.forward(x, &qkv.work, pass.dropout.as_ref(), pass.workspace);
        pass.keep_ranks("u_qkv", layer, &self.qkv, x);
        match &self.head_norms {
            None => {
                self.rotate(&qkv.work, pass);
                qkv.keep();
                qkv.work
            }
            Some(norms) => {
                qkv.keep();
                self.normalise_heads(norms, &qkv.work, pass)
            }
        }
    }

    fn rotate(&self, qkv: &Tensor, pass: &Pass<'_>) {
        pass.rope.rotate(qkv, self.rotated_heads(), &pass.positions, false, pass.workspace.arithmetic.rounds());
    }

    /// `[T, C]` in scratch: query and key heads normalised, then rotated.
    fn normalise_heads(&self, norms: &[RmsNorm; 2], qkv: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let rotated = pass.scratch("rotated", self.qkv_columns());
        rotated.shallow_clone().copy_(qkv);
        for (norm, columns) in norms.iter().zip(self.head_columns()) {
            let heads = self.heads_of(qkv, &columns);
            let normalised = heads.empty_like();
            norm.forward(&heads, &normalised);
            let mut target = rotated.narrow(1, columns.start, columns.end - columns.start);
            target.copy_(&normalised.view(target.size().as_slice()));
        }
        self.rotate(&rotated, pass);
        rotated
    }

    /// Columns of the queries and of the keys.
    fn head_columns(&self) -> [Range<i64>; 2] {
        let width = |heads: usize| (heads * self.attention.head_dim) as i64;
        let queries = width(self.attention.heads);
        [0..queries, queries..queries + width(self.attention.key_value_heads)]
    }

    /// A copy of some heads of every token, `[T heads, D]`.
    fn heads_of(&self, qkv: &Tensor, columns: &Range<i64>) -> Tensor {
        qkv.narrow(1, columns.start, columns.end - columns.start).contiguous().view([-1, self.attention.head_dim as i64])
    }

    /// The second half of the layer, from the residual `h_TH` and the attention's share `y_TH`.
    fn feed_forward(&self, layer: usize, h: &Tensor, y: &Tensor, pass: &mut Pass<'_>) -> Residual {
        let hidden = self.gate_up.in_features;
        let sum = pass.kept("h_feed_forward", layer, hidden);
        let x = pass.scratch("x_gate_up", self.gate_up.extended_in());
        self.feed_forward_norm.add_forward(h, y, &sum.work, &front(&x, hidden));
        sum.keep();
        let gate_up = pass.kept("gate_up", layer, self.gate_up.out_features);
        self.gate_up.forward(&x, &gate_up.work, pass.dropout.as_ref(), pass.workspace);
        gate_up.keep();
        pass.keep_ranks("u_gate_up", layer, &self.gate_up, &x);
        let a = pass.scratch("activation", self.down.extended_in());
        swiglu::forward(&gate_up.work, &front(&a, self.down.in_features));
        self.down.forward(&a, y, pass.dropout.as_ref(), pass.workspace);
        pass.keep_ranks("u_down", layer, &self.down, &a);
        Residual::Sum { h: sum.work, y: y.shallow_clone() }
    }

    /// Whether anything in the layer is trained.
    pub(crate) fn is_trained(&self) -> bool {
        let projections = [&self.qkv, &self.output, &self.gate_up, &self.down];
        projections.iter().any(|projection| projection.gradient.is_some() || projection.ranks() > 0)
    }

    /// Columns that the buffer of the residual stream's gradient needs.
    pub(crate) fn extended_hidden(&self) -> usize {
        self.output.extended_out().max(self.down.extended_out())
    }

    /// Turns the gradient of the layer's output, the first H columns of `dh` `[T, H + ...]`, into that of its input, where `input_wanted`; adds to the
    /// gradients of what is trained in the layer. As long as the pass is at target rows, the output's gradient is in `dh_N` `[N, H + ...]`.
    pub(crate) fn backward(&self, layer: usize, [dh, dh_N]: [&Tensor; 2], input_wanted: bool, pass: &mut Pass<'_>) -> Result<(), Error> {
        let width = self.output.in_features;
        if !pass.at_targets {
            self.feed_forward_backward(layer, dh, pass);
            let attended = pass.kept("attention", layer, self.output.extended_in()).restore();
            let dattended = self.output_backward(dh, &attended, pass);
            return self.attention_backward(layer, dh, [&front(&attended, width), &dattended], input_wanted, pass);
        }
        self.feed_forward_backward(layer, dh_N, pass);
        let attended_N = pass.kept("attention_targets", layer, self.output.extended_in()).restore();
        let dattended_N = self.output_backward(dh_N, &attended_N, pass);
        pass.toggle_targets();
        let attended = pass.kept("attention", layer, self.output.extended_in()).restore();
        let dattended = pass.scratch("dattended_all", width);
        if let Some(targets) = &pass.targets {
            let hidden = self.qkv.in_features;
            targets.scatter(&dattended_N, &dattended);
            targets.scatter(&front(dh_N, hidden), &front(dh, hidden));
        }
        self.attention_backward(layer, dh, [&front(&attended, width), &dattended], input_wanted, pass)
    }

    /// The gradient of the attention's output, `[rows, A]`; adds to the output projection's.
    fn output_backward(&self, dh: &Tensor, attended: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let width = self.output.in_features;
        let dy = front(dh, self.output.extended_out());
        let dattended = pass.scratch("dattended", width);
        self.output.input_gradient(&dy, Some(&dattended), pass.dropout.as_ref(), pass.workspace);
        let ranks = self.output.ranks() as i64;
        let u = (ranks > 0).then(|| attended.narrow(1, width as i64, ranks));
        self.output.parameter_gradient(&dy, &front(attended, width), u.as_ref(), pass.dropout.as_ref(), pass.workspace);
        dattended
    }

    fn feed_forward_backward(&self, layer: usize, dh: &Tensor, pass: &mut Pass<'_>) {
        let hidden = self.gate_up.in_features;
        let dy = front(dh, self.down.extended_out());
        let da = pass.scratch("da", self.down.in_features);
        self.down.input_gradient(&dy, Some(&da), pass.dropout.as_ref(), pass.workspace);
        let gate_up = pass.kept("gate_up", layer, self.gate_up.out_features).restore();
        let dgate_up = pass.scratch("dgate_up", self.gate_up.extended_out());
        let a = pass.scratch("activation", self.down.in_features);
        swiglu::backward(&gate_up, &da, &front(&dgate_up, self.gate_up.out_features), &a);
        let u = pass.restore_ranks("u_down", layer, &self.down);
        self.down.parameter_gradient(&dy, &a, u.as_ref(), pass.dropout.as_ref(), pass.workspace);

        let dx = pass.scratch("dx", hidden);
        self.gate_up.input_gradient(&dgate_up, Some(&dx), pass.dropout.as_ref(), pass.workspace);
        let h = pass.kept("h_feed_forward", layer, hidden).restore();
        let x = pass.scratch("x", hidden);
        self.feed_forward_norm.backward(&h, &dx, &front(dh, hidden), Some(&x));
        let u = pass.restore_ranks("u_gate_up", layer, &self.gate_up);
        self.gate_up.parameter_gradient(&dgate_up, &x, u.as_ref(), pass.dropout.as_ref(), pass.workspace);
    }

    /// From the attention's output and its gradient on. `dh` holds what reached the layer's input past the attention.
    fn attention_backward(
        &self,
        layer: usize,
        dh: &Tensor,
        [attended, dattended]: [&Tensor; 2],
        input_wanted: bool,
        pass: &mut Pass<'_>,
    ) -> Result<(), Error> {
        let hidden = self.qkv.in_features;
        let raw = pass.kept("qkv", layer, self.qkv_columns()).restore();
        let qkv = match &self.head_norms {
            None => raw.shallow_clone(),
            Some(norms) => self.normalise_heads(norms, &raw, pass),
        };
        let dqkv = pass.scratch("dqkv", self.qkv.extended_out());
        let normalisers = pass.normalisers.pop().unwrap_or_default();
        self.attention.backward(&qkv, attended, &normalisers, dattended, &dqkv, &pass.sequences, pass.masks)?;
        let gradient = front(&dqkv, self.qkv_columns());
        pass.rope.rotate(&gradient, self.rotated_heads(), &pass.positions, true, false);
        if let Some(norms) = &self.head_norms {
            self.normalise_heads_backward(norms, &raw, &gradient);
        }

        let dx = pass.scratch("dx", hidden);
        let through = input_wanted || self.input_norm.gradient.is_some();
        self.qkv.input_gradient(&dqkv, through.then_some(&dx), pass.dropout.as_ref(), pass.workspace);
        let h = self.input(layer, pass).restore();
        let x = pass.scratch("x", hidden);
        if through {
            self.input_norm.backward(&h, &dx, &front(dh, hidden), Some(&x));
        } else {
            self.input_norm.forward(&h, &x);
        }
        let u = pass.restore_ranks("u_qkv", layer, &self.qkv);
        self.qkv.parameter_gradient(&dqkv, &x, u.as_ref(), pass.dropout.as_ref(), pass.workspace);
        Ok(())
    }

    /// Turns the gradient of the normalised heads into that of the raw ones, in place.
    fn normalise_heads_backward(&self, norms: &[RmsNorm; 2], raw: &Tensor, gradient: &Tensor) {
        for (norm, columns) in norms.iter().zip(self.head_columns()) {
            let dnormalised = self.heads_of(gradient, &columns);
            let draw = dnormalised.zeros_like();
            norm.backward(&self.heads_of(raw, &columns), &dnormalised, &draw, None);
            let mut target = gradient.narrow(1, columns.start, columns.end - columns.start);
            target.copy_(&draw.view(target.size().as_slice()));
        }
    }
}
