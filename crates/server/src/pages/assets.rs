//! Style sheet and script: in the binary, under paths that name their content, so that browsers keep them for good.

use std::sync::LazyLock;

use abide_core::consent::hash::sha256;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::Answer;
use super::errors::PageError;

struct Asset {
    file: String,
    kind: &'static str,
    text: &'static str,
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("../../assets/style.css");
    Asset { file: named("style", "css", text), kind: "text/css; charset=utf-8", text }
});

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("../../assets/script.js");
    Asset { file: named("script", "js", text), kind: "text/javascript; charset=utf-8", text }
});

fn named(name: &str, ending: &str, text: &str) -> String {
    // As much of it as tells two texts apart that follow each other.
    let hash = u128::from_be_bytes(*sha256(text.as_bytes()).first_chunk().unwrap_or(&[0; 16]));
    format!("{name}-{hash:032x}.{ending}")
}

/// Where the style sheet is. For templates.
pub(crate) fn style() -> String {
    format!("/assets/{}", STYLE.file)
}

/// Where the script is. For templates.
pub(crate) fn script() -> String {
    format!("/assets/{}", SCRIPT.file)
}

/// `GET /assets/{file}`.
pub(crate) async fn asset(Path(file): Path<String>) -> Answer {
    let asset = [&*STYLE, &*SCRIPT].into_iter().find(|asset| asset.file == file);
    asset.map(answer).ok_or(PageError::NotFound)
}

fn answer(asset: &Asset) -> Response {
    let keep = "public, max-age=31536000, immutable";
    ([(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, keep)], asset.text).into_response()
}
