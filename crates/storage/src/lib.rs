//! To be written.

pub mod sealing;
