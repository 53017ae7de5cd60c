//! The lock-free core: reserve, fill, publish; sync as a group; rotate.
//!
//! It does no I/O, takes no time of its own, spawns nothing and allocates at construction only. Storage ([`Body`]), waiting
//! and time ([`Host`]), syncing ([`Work`]) and fresh segments ([`Supply`]) come from outside, so the models under
//! `loom-tests/` run this very code.
//!
//! ```text
//!   Appender ── Seat ──┐                                 ┌── sync_to ──► Gate ── leader ──► Work::flush
//!                      ▼                                 │                │                    │
//!   reserve ──► Tail (fetch_add) ──► Claim ──► publish   │            durable ◄────────────────┘
//!      │          ▲                    │                 │
//!      │ over-run │ install            ▼                 │
//!      └──► Room (rotate) ──► Window  Slots ──► frontier ┘
//!             ▲
//!             └── Supply::activate
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `tail` | the word from which positions are reserved |
//! | `slots` | who is between reserving and publishing |
//! | `window` | the segments in flight, and where they were sealed |
//! | `core` | reserve, publish, frontier |
//! | `seat` | a writer's place, and the exclusive right to a range |
//! | `claim` | a reservation that is being filled |
//! | `room` | rotation, and waiting for a segment |
//! | `critical`, `emergency` | records that must not wait for space, and where they go |
//! | `gate`, `gather` | group commit |
//! | `doze` | a thread that sleeps as long as nobody appends |
//! | `watch` | waiting for a bound to advance: tails |
//! | `pad` | ends the block that the tail stands in |
//! | `pin` | what keeps a segment from being reused |
//! | `ending` | poison and close |
//! | `host` | waiting and time, as a trait |
//!
//! The ledger of every atomic, with its partner and its model, is `docs/concurrency.md`.

#![allow(
    unreachable_pub,
    unused_imports,
    reason = "public to the models through the hidden internals, which exist in their build alone"
)]

mod claim;
mod core;
mod critical;
mod doze;
mod emergency;
mod ending;
mod gate;
mod gather;
mod host;
mod pad;
mod pin;
mod room;
mod seat;
mod slots;
mod tail;
mod watch;
mod window;

pub use self::claim::Claim;
pub use self::core::{Attempt, Core, Published, Sealing, Shape};
pub use self::doze::Doze;
pub use self::ending::Ending;
pub use self::gate::{Gate, Wish, Work};
pub use self::gather::GatherLimits;
pub use self::host::{Host, Sleepers, Waited};
pub use self::pad::Block;
pub use self::pin::{Pin, PinGuard};
pub use self::room::{Patience, Purpose, Room, Shortage, Supply, Terms};
pub use self::seat::{Body, Seat, Span};
pub use self::slots::{Slots, Tenure};
pub use self::watch::{Audience, Ticket, Vigil, Watch};
pub use self::window::Window;
