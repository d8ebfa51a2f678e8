//! Prints the OpenAPI document: what `cargo xtask openapi` writes to `docs/openapi.json`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(abide_server::openapi_json().as_bytes())
}
