//! How deliveries went, in numbers.

pub(crate) mod endpoint;
pub(crate) mod series;

const GROUP: &str = "Figures";
