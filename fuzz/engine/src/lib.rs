//! Only a place for the dependency to stand.
