//! The harness: starts programs on the two cores, measures them in turn, and prints the tables.

pub mod cell;
pub mod machine;
pub mod program;
pub mod stats;
pub mod table;
