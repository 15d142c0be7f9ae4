//! What the commands print and how they end, one file for each command and each error.
//!
//! `TRYCMD=overwrite` rewrites the files from what is printed now: read the difference.

#[test]
fn commands_print_what_they_should() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cmd/*.toml");
}
