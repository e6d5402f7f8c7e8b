//! Reading packs: LMDB's tree of pages in a memory map, in safe Rust.
//!
//! Every number that the file gives is checked before it is followed, so a damaged pack is an error and never a
//! crash. No lock is taken: packs may lie on read-only media, be open in py-lmdb and be shared with forked
//! children. Values are slices of the map.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::{MAX_KEY, RESERVED};
use crate::error::DataError;

const MAGIC: u32 = 0xBEEF_C0DE;
/// Bytes before the content of every page: its number (8), padding (2), kind (2), then the end of its list of
/// nodes (2) and the start of the nodes (2).
const PAGE_HEADER: usize = 16;
/// Bytes before a node's key: size of its value or number of its page (4), flags or more of that (2), size of its
/// key (2).
const NODE_HEADER: usize = 8;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
/// A node's value lies in pages of its own.
const BIG: u16 = 1;
/// The root of an empty tree.
const NO_PAGE: u64 = u64::MAX;
/// No tree of LMDB's is higher.
const MAX_HEIGHT: usize = 32;

/// A pack, open for reading.
pub struct Pack {
    map: Mmap,
    meta: Meta,
    path: PathBuf,
}

/// What a meta page says: of the two that a file begins with, the one of the later transaction holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meta {
    page_size: usize,
    entries: u64,
    root: u64,
    last_page: u64,
    transaction: u64,
}

/// A page and its nodes.
struct Page<'a> {
    bytes: &'a [u8],
    is_leaf: bool,
    nodes: usize,
}

/// One entry of a page.
struct Node<'a> {
    key: &'a [u8],
    /// Size of the value in a leaf; page number in a branch, with `flags` above it.
    low: u32,
    flags: u16,
    /// What follows the key.
    rest: &'a [u8],
}

/// Marks that the file contradicts itself.
struct Damaged;

impl Pack {
    /// Opens a folder with `data.mdb`, or an LMDB file.
    ///
    /// # Errors
    /// There is none, or it is of another format, damaged or ends early.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let failed = |reason: String| DataError::of_pack(path, reason);
        let name = if path.is_dir() { path.join("data.mdb") } else { path.to_owned() };
        let unreadable = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound if path.is_dir() => failed("a folder without data.mdb: not a pack".into()),
            ErrorKind::NotFound => failed("no such pack".into()),
            ErrorKind::UnexpectedEof => failed("not an LMDB file".into()),
            _ => failed(format!("cannot be read: {error}")),
        };
        let mut file = File::open(&name).map_err(unreadable)?;
        let mut head = [0; 32];
        file.read_exact(&mut head).map_err(unreadable)?;
        check_format(&head).map_err(failed)?;
        // SAFETY: the map is only read. Should another process change the file, bytes change under the slices:
        // no number in them is trusted, and `get` notices. Cutting the file off would kill the process, as with
        // LMDB itself; packs are replaced by renaming, which leaves the mapped file alone.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        let meta = Meta::latest(&map).ok_or_else(|| failed(Damaged.text()))?;
        let needed = (meta.last_page + 1) * meta.page_size as u64;
        if (map.len() as u64) < needed {
            return Err(failed(format!("ends early: {} of {needed} bytes; copy or make it anew", map.len())));
        }
        Ok(Self { map, meta, path: path.to_owned() })
    }

    /// Where the pack lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of entries, reserved ones included.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.meta.entries
    }

    /// The value of `key`, as a slice of the memory map.
    ///
    /// # Errors
    /// The pack is damaged or was written to since it was opened.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>, DataError> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Ok(None);
        }
        self.check_unchanged()?;
        self.find(key).map_err(|damaged| DataError::of_pack(&self.path, damaged.text()))
    }

    /// Whether all that was read since [`Pack::open`] is of one state of the pack.
    ///
    /// # Errors
    /// The pack was written to since: pages that are out of use may be written anew.
    pub fn check_unchanged(&self) -> Result<(), DataError> {
        if Meta::latest(&self.map) == Some(self.meta) {
            Ok(())
        } else {
            Err(DataError::of_pack(&self.path, "was written to while it was open; open it again"))
        }
    }

    fn find(&self, key: &[u8]) -> Result<Option<&[u8]>, Damaged> {
        let mut number = self.meta.root;
        if number == NO_PAGE {
            return Ok(None);
        }
        for _ in 0..MAX_HEIGHT {
            let page = self.page(number)?;
            // The number of nodes whose keys are not above `key`; a branch's first node stands for all below.
            let (mut low, mut high) = (usize::from(!page.is_leaf), page.nodes);
            while low < high {
                let middle = usize::midpoint(low, high);
                if page.node(middle)?.key <= key {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            let Some(last) = low.checked_sub(1) else { return Ok(None) };
            let node = page.node(last)?;
            if page.is_leaf {
                return if node.key == key { self.value(&node).map(Some) } else { Ok(None) };
            }
            number = node.page();
        }
        Err(Damaged)
    }

    /// Every key in order with the length of its value, reserved keys left out.
    ///
    /// # Errors
    /// The pack is damaged.
    pub fn keys(&self) -> Result<Vec<(Vec<u8>, usize)>, DataError> {
        self.all_keys().map_err(|damaged| DataError::of_pack(&self.path, damaged.text()))
    }

    fn all_keys(&self) -> Result<Vec<(Vec<u8>, usize)>, Damaged> {
        let mut keys = Vec::new();
        let mut left = vec![self.meta.root];
        if self.meta.root == NO_PAGE {
            return Ok(keys);
        }
        let mut visited = 0;
        while let Some(number) = left.pop() {
            // A page that is met again leads around for ever.
            visited += 1;
            if visited > self.meta.last_page {
                return Err(Damaged);
            }
            let page = self.page(number)?;
            if page.is_leaf {
                for index in 0..page.nodes {
                    let node = page.node(index)?;
                    if !node.key.starts_with(RESERVED) {
                        keys.push((node.key.to_vec(), self.value(&node)?.len()));
                    }
                }
            } else {
                for index in (0..page.nodes).rev() {
                    left.push(page.node(index)?.page());
                }
            }
        }
        if keys.is_sorted_by(|a, b| a.0 < b.0) { Ok(keys) } else { Err(Damaged) }
    }

    /// The bytes from the start of a page to the end of the map.
    fn page_onwards(&self, number: u64) -> Result<&[u8], Damaged> {
        if number > self.meta.last_page {
            return Err(Damaged);
        }
        let start = usize::try_from(number).map_err(|_| Damaged)? * self.meta.page_size;
        let bytes = self.map.get(start..).ok_or(Damaged)?;
        if u64_at(bytes, 0) == Some(number) { Ok(bytes) } else { Err(Damaged) }
    }

    fn page(&self, number: u64) -> Result<Page<'_>, Damaged> {
        let bytes = self.page_onwards(number)?.get(..self.meta.page_size).ok_or(Damaged)?;
        let is_leaf = match u16_at(bytes, 10) {
            Some(BRANCH) => false,
            Some(LEAF) => true,
            _ => return Err(Damaged),
        };
        let end = usize::from(u16_at(bytes, 12).ok_or(Damaged)?);
        let nodes = end.checked_sub(PAGE_HEADER).ok_or(Damaged)? / 2;
        if nodes == 0 { Err(Damaged) } else { Ok(Page { bytes, is_leaf, nodes }) }
    }

    fn value<'a>(&'a self, node: &Node<'a>) -> Result<&'a [u8], Damaged> {
        let size = node.low as usize;
        match node.flags {
            0 => node.rest.get(..size).ok_or(Damaged),
            BIG => {
                let bytes = self.page_onwards(u64_at(node.rest, 0).ok_or(Damaged)?)?;
                if u16_at(bytes, 10) != Some(OVERFLOW) {
                    return Err(Damaged);
                }
                bytes.get(PAGE_HEADER..PAGE_HEADER + size).ok_or(Damaged)
            }
            _ => Err(Damaged),
        }
    }
}

impl Meta {
    fn latest(map: &[u8]) -> Option<Self> {
        let first = Self::read(map);
        // The first one tells how large pages are; should it be damaged, the usual size is worth a try.
        let second = map.get(first.map_or(4096, |meta| meta.page_size)..).and_then(Self::read);
        first.into_iter().chain(second).max_by_key(|meta| meta.transaction)
    }

    fn read(page: &[u8]) -> Option<Self> {
        let meta = page.get(PAGE_HEADER..)?;
        if u32_at(meta, 0) != Some(MAGIC) || u32_at(meta, 4).map(|version| version & 0xffff) != Some(1) {
            return None;
        }
        let page_size = u32_at(meta, 24)? as usize;
        // Of the second tree that the page describes: the first one lists free pages.
        let flags = u16_at(meta, 72 + 4)?;
        let (entries, root) = (u64_at(meta, 72 + 32)?, u64_at(meta, 72 + 40)?);
        let (last_page, transaction) = (u64_at(meta, 120)?, u64_at(meta, 128)?);
        let sane = page_size.is_power_of_two()
            && (512..=1 << 16).contains(&page_size)
            && last_page < u64::MAX / (1 << 20)
            && (root <= last_page || root == NO_PAGE)
            // Keys in another order, or several values of one key.
            && flags & 0x7f == 0;
        sane.then_some(Self { page_size, entries, root, last_page, transaction })
    }
}

impl<'a> Page<'a> {
    fn node(&self, index: usize) -> Result<Node<'a>, Damaged> {
        let start = usize::from(u16_at(self.bytes, PAGE_HEADER + 2 * index).ok_or(Damaged)?);
        let bytes = self.bytes.get(start..).ok_or(Damaged)?;
        let (header, content) = bytes.split_at_checked(NODE_HEADER).ok_or(Damaged)?;
        let (Some(low), Some(flags), Some(size)) = (u32_at(header, 0), u16_at(header, 4), u16_at(header, 6))
        else {
            return Err(Damaged);
        };
        let (key, rest) = content.split_at_checked(usize::from(size)).ok_or(Damaged)?;
        Ok(Node { key, low, flags, rest })
    }
}

impl Node<'_> {
    fn page(&self) -> u64 {
        u64::from(self.low) | u64::from(self.flags) << 32
    }
}

impl Damaged {
    fn text(self) -> String {
        "damaged: its pages contradict each other; copy or make it anew".into()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

/// Refuses what is no LMDB file of format 1, in words that tell what to do.
fn check_format(head: &[u8; 32]) -> Result<(), String> {
    // The header of a page has 16 bytes in format 1 and 24 in format 3.
    let version = [16, 24]
        .into_iter()
        .find(|&at| u32_at(head, at) == Some(MAGIC))
        .and_then(|at| u32_at(head, at + 4))
        .map(|version| version & 0xffff);
    match version {
        Some(1) => Ok(()),
        Some(version) => Err(format!(
            "an LMDB file of format {version}; this reader knows format 1: copy it with py-lmdb's default \
             settings, or pack the files again with `anrl pack`"
        )),
        None => Err("not an LMDB file".into()),
    }
}
