//! Bring-along: what people who move here take with them, line by line in the form of an export's lines.

mod lines;
pub(crate) mod post;
mod schema;
