//! The programs that cargo has built, from its messages (`--message-format=json`).

/// Their paths, in the order in which they were built: one line a crate.
pub(crate) fn named(messages: &str) -> Vec<String> {
    messages.lines().filter_map(executable).map(str::to_owned).collect()
}

/// The path of the program that one of the lines tells of, if it does.
pub(crate) fn executable(line: &str) -> Option<&str> {
    line.split_once("\"executable\":\"")?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_no_program() {
        let messages = "\
            {\"reason\":\"compiler-artifact\",\"executable\":null,\"fresh\":false}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/a/b c\",\"fresh\":true}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(named(messages), ["/a/b c"]);
        assert_eq!(named(""), [""; 0]);
    }
}
