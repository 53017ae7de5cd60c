//! Recovery: what a directory holds, where its log ends, and making that true on the device.
//!
//! `survey` looks, `chain` decides, `settle` writes. The first two change nothing, and verification uses them too.
//!
//! # Invariants
//! * V1. Exactly a prefix is accepted: every durable record, then possibly some that were never acknowledged.
//! * V2. Run again, or interrupted anywhere and run again, recovery accepts the same records.
//! * V3. No name in the directory is believed before the directory, and its parent, were synced: after a process death
//!   the names that it left need not be durable, and recycled blocks never force the journal.
//! * V4. Nothing is reused or removed before `COOKIE`, as it was read and as it is now, was stored again and synced.

mod chain;
mod identity;
mod settle;
mod survey;
mod trail;

pub(crate) use chain::{ChainFound, Depth, Prefix, Refusal, Walk, follow, prefix};
pub(crate) use identity::identity_of_segments;
pub(crate) use settle::{Room, Trust, settle};
pub(crate) use survey::{
    Found, Header, Survey, header_of, manifest_missing, read_cookie, read_headers, read_manifest,
    read_whole,
};
pub(crate) use trail::{Broken, Pages, Trail, broken};
