//! The page: one document, with nothing to load beside it.

use std::sync::LazyLock;

use abide_affinity::Reason;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::response::{Html, IntoResponse};

/// Nothing from elsewhere, and nothing framed.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let reasons: serde_json::Map<String, serde_json::Value> = Reason::ALL
        .into_iter()
        .map(|reason| (reason.as_str().to_owned(), reason.explain().into()))
        .collect();
    let script = include_str!("page/page.js")
        .replace("\"/*REASONS*/\"", &serde_json::Value::Object(reasons).to_string());
    include_str!("page/page.html")
        .replace("/*STYLE*/", include_str!("page/page.css"))
        .replace("/*SCRIPT*/", &script)
});

pub(super) async fn show() -> impl IntoResponse {
    let fields = [(CACHE_CONTROL, "no-cache"), (CONTENT_SECURITY_POLICY, POLICY)];
    (fields, Html(PAGE.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_document_that_knows_every_reason() {
        for reason in Reason::ALL {
            assert!(PAGE.contains(reason.explain()), "{reason}");
        }
        for left_over in ["/*STYLE*/", "/*SCRIPT*/", "/*REASONS*/", "src=\"", "https://"] {
            assert!(!PAGE.contains(left_over), "{left_over}");
        }
    }
}
