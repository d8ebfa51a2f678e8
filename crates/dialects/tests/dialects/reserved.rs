//! Which headers belong to dialects alone.

use abide_core::endpoint::auth::is_reserved_header;
use abide_dialects::all;
use proptest::prelude::*;

use crate::support::{SECRET, render, signing, strategies};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whoever gives an endpoint headers of its own can give none that a dialect sets: there would be two.
    #[test]
    fn the_headers_of_every_dialect_are_reserved(event in strategies::event()) {
        for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
            for (name, _) in dialect.sign(&render(*dialect, &event), &signing(SECRET)).headers {
                prop_assert!(is_reserved_header(name), "reserve {} of {}", name, dialect.name());
            }
        }
    }
}
