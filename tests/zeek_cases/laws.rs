//! Laws of the parser.
