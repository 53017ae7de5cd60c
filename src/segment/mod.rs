//! One segment, its life, and the files behind it.
//!
//! ```text
//!            prepare                  shelf                  active            registry
//!  absent ──────────────► ready ────────────────► active ──────────► sealed ──────────► retired
//!     ▲   create, fill,    │   activation part,      │   the straddler    │  head beyond it, │
//!     │   sync, rename     │   no call              │   records the seal  │  no reader       │
//!     │                    │                        │                     │                  ▼
//!     └── removed ◄────────┴───────────────── reuse: new header, sync, rename ◄──────── reusable
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `name`, `directory` | what the files are called, and where they lie |
//! | `bytes` | the bridge from claims to mapped memory; the only `unsafe` here |
//! | `active` | a segment that frames are written to and read from |
//! | `flush` | how its frames become durable |
//! | `salts` | which salt rules which part of it |
//! | `prepare`, `scrub`, `shelf` | making segments ready; zeros over what they held; the ready and the recycle queue |
//! | `depth` | how many are kept ready |
//! | `refill` | every page in a folio of its own |
//! | `registry`, `readers` | the segments that hold records; who reads them, or read them before the log was opened again |
//! | `prefault` | writable pages ahead of the tail |
//! | `source` | a segment's bytes for a scan |
//! | `cookie`, `hold` | the open `COOKIE`; the open file of a named hold |

mod active;
mod bytes;
mod cookie;
mod depth;
mod directory;
mod flush;
mod hold;
mod name;
mod prefault;
mod prepare;
mod readers;
mod refill;
mod registry;
mod salts;
mod scrub;
mod shelf;
mod source;

pub(crate) use active::{FrameFields, Segment};
pub(crate) use bytes::{Exclusive, Held};
pub(crate) use cookie::CookieFile;
pub(crate) use depth::Depth;
pub(crate) use directory::Directory;
pub(crate) use flush::{Flush, MsyncRange};
pub(crate) use hold::HoldFile;
pub(crate) use name::{COOKIE, LOCK, MANIFEST, Name, hold as hold_name, segment as segment_name};
pub(crate) use prefault::{Prefaulter, Tick};
pub(crate) use prepare::Mold;
pub(crate) use readers::is_read;
pub(crate) use registry::Registry;
pub(crate) use salts::Salts;
pub(crate) use shelf::{Preparation, QUEUE_SIZE, Shelf};
pub(crate) use source::FileSource;
