//! Configuration keys: filled in with `config`.
