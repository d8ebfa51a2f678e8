//! Reading lists of the API: page by page, up to as many items as were asked for.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::api_client::Api;

/// Most items the API gives on one page.
const PAGE: u32 = 100;

#[derive(Args)]
pub(crate) struct Paging {
    /// Most items to show
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Show all there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on where a list ended: its `next_cursor`
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

/// What was read of a list.
#[derive(Serialize)]
pub(super) struct Listed {
    /// The items.
    pub(super) items: Vec<Value>,
    /// Where to go on; `None` at the end.
    pub(super) next_cursor: Option<String>,
}

impl Paging {
    /// Reads pages until there are enough items or no more.
    pub(super) async fn read(
        self,
        api: &Api,
        path: &[&str],
        filters: &[(&str, String)],
    ) -> anyhow::Result<Listed> {
        let mut listed = Listed { items: Vec::new(), next_cursor: self.cursor };
        loop {
            let read = listed.items.len();
            let left = if self.all { PAGE } else { self.limit - (read as u32).min(self.limit) };
            if left == 0 {
                return Ok(listed);
            }
            let mut page = page(api, path, filters, listed.next_cursor, left.min(PAGE)).await?;
            listed.items.append(&mut page.items);
            listed.next_cursor = page.next_cursor;
            if listed.next_cursor.is_none() {
                return Ok(listed);
            }
        }
    }
}

/// One page of a list.
async fn page(
    api: &Api,
    path: &[&str],
    filters: &[(&str, String)],
    cursor: Option<String>,
    limit: u32,
) -> anyhow::Result<Listed> {
    let mut query = filters.to_vec();
    query.push(("limit", limit.to_string()));
    query.extend(cursor.map(|cursor| ("cursor", cursor)));
    let mut page = api.get(path, &query).await?;
    let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else {
        anyhow::bail!("the server answers no list: it may be of another version")
    };
    let next_cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
    Ok(Listed { items, next_cursor })
}

impl Listed {
    /// What to say below a list: that it is empty, or that it goes on.
    pub(super) fn remark(&self, nothing: &str) -> Option<String> {
        match (&self.next_cursor, self.items.is_empty()) {
            (Some(cursor), _) => {
                Some(format!("There are more: say --all, --limit N, or --cursor {cursor}"))
            }
            (None, true) => Some(nothing.to_owned()),
            (None, false) => None,
        }
    }
}
