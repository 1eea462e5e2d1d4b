//! Tests of the whole: the command line and the trainer as a user runs them, beside the reference libraries.
