//! Pure deciders: a spec and what was observed in, the next intents and conditions out.
