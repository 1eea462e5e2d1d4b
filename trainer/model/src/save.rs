//! Writing adapters and whole models.
