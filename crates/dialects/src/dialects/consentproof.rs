//! To be written.

/// ConsentProof.
pub struct ConsentProof;
