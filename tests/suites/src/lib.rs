//! The suites themselves are in `tests/`, one binary each; this library is empty.
