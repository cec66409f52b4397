//! The page at `/`.

pub(crate) const TYPE: &str = "text/html; charset=utf-8";
pub(crate) const PAGE: &[u8] = include_bytes!("page.html");
