//! Where a path leads (path_resolution(7)).

use super::tree::{Kind, Name, Tree};
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::slab::Key;

/// Longest path, with the NUL at its end.
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;
/// Links that one path leads through.
const LINKS_MAX: u32 = 40;

/// What a path may lead through.
#[derive(Clone, Copy, Default)]
pub(super) struct Limits {
    /// Where the last part is a link, to where that leads.
    pub(super) follow: bool,
    /// Only to the name that it ends in: what a slash behind that says is for the call to judge.
    pub(super) to_name: bool,
    /// Stay below where it starts (`RESOLVE_BENEATH`).
    pub(super) beneath: bool,
    /// Through no link (`RESOLVE_NO_SYMLINKS`).
    pub(super) no_links: bool,
}

/// The last part of a path.
#[derive(Clone)]
pub(super) enum Last {
    Name(Name),
    /// `.`, or nothing at all: the root.
    Itself,
    /// `..`
    Parent,
}

/// Where a path leads.
#[derive(Clone)]
pub(super) struct Found {
    /// The directory of its last part.
    pub(super) directory: Key,
    pub(super) last: Last,
    pub(super) node: Option<Key>,
    /// A slash follows: it can be but a directory.
    pub(super) has_slash: bool,
}

impl Tree {
    pub(super) fn walk(&self, start: Key, path: &[u8], limits: Limits) -> Answer<Found> {
        if path.is_empty() {
            return Err(code::ENOENT);
        }
        if path.len() >= PATH_MAX {
            return Err(code::ENAMETOOLONG);
        }
        let mut walk = Walk { tree: self, start, links: 0, limits };
        walk.go(start, path)
    }
}

struct Walk<'a> {
    tree: &'a Tree,
    start: Key,
    links: u32,
    limits: Limits,
}

impl Walk<'_> {
    fn go(&mut self, from: Key, path: &[u8]) -> Answer<Found> {
        let mut at = from;
        if path.starts_with(b"/") {
            if self.limits.beneath {
                return Err(code::EXDEV);
            }
            at = self.tree.root;
        }
        let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
        let has_slash = path.ends_with(b"/");
        let mut found = Found { directory: at, last: Last::Itself, node: Some(at), has_slash };
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            found = self.step(at, part, is_last, has_slash)?;
            if !is_last {
                at = found.node.ok_or(code::ENOENT)?;
            }
        }
        if has_slash
            && !self.limits.to_name
            && found.node.is_some_and(|node| self.tree.directory(node).is_none())
        {
            return Err(code::ENOTDIR);
        }
        Ok(found)
    }

    fn step(&mut self, at: Key, part: &[u8], is_last: bool, has_slash: bool) -> Answer<Found> {
        let entries = self.tree.directory(at).ok_or(code::ENOTDIR)?;
        if part == b"." {
            return Ok(Found { directory: at, last: Last::Itself, node: Some(at), has_slash });
        }
        if part == b".." {
            if self.limits.beneath && at == self.start {
                return Err(code::EXDEV);
            }
            let parent = self.tree.peek(at).parent.unwrap_or(at);
            return Ok(Found { directory: at, last: Last::Parent, node: Some(parent), has_slash });
        }
        if part.len() > NAME_MAX {
            return Err(code::ENAMETOOLONG);
        }
        let (tree, node) = (self.tree, entries.names.get(part).copied());
        if let Some(key) = node
            && let Kind::Symlink(target) = &tree.peek(key).kind
            && (!is_last || self.limits.follow || has_slash && !self.limits.to_name)
        {
            self.links += 1;
            if self.links > LINKS_MAX || self.limits.no_links {
                return Err(code::ELOOP);
            }
            let limits = self.limits;
            (self.limits.follow, self.limits.to_name) = (true, false);
            let found = self.go(at, target);
            self.limits = limits;
            return found.map(|found| Found { has_slash: found.has_slash || has_slash, ..found });
        }
        let last = Last::Name(part.into());
        Ok(Found { directory: at, last, node, has_slash })
    }
}
