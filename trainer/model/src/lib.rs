//! Decoder-only transformers with LoRA: forward, hand-written backward, generation, weights in and out.
