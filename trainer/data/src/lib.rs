//! Dataset readers, chat templates, filters, tokenisation, packing, token cache and sampler.
