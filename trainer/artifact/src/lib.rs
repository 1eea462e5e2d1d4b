//! Torch-free knowledge of model folders: safetensors and GGUF headers, configs, adapters, digests.
