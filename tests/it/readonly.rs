//! readonly
