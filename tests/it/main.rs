//! The engine as an embedder sees it: on real files, through the public interface alone.
//!
//! | module | what it holds the engine to |
//! |---|---|
//! | `append` | every length, batch, tag; many threads through rotation |
//! | `reserve` | writing in place, giving up, misuse |
//! | `sync` | durable bounds, group commit, callbacks, health |
//! | `beat` | syncs that nobody asks for |
//! | `rotate` | small segments, reuse, space pressure, pinned records |
//! | `space`, `critical` | full disks, simulated and real: the levels, the reserve, critical records |
//! | `reopen` | what opening again finds; who may open |
//! | `rewind` | truncation and reset: what is void, for whom, and after what |
//! | `bad` | damaged, foreign and newer files: refusals typed, placed, and changing nothing |
//! | `company` | what others put in the place of files: links, pipes, devices, files of another log |
//! | `user` | owners, modes, standard streams, a read-only file system, a file cut under a mapping |
//! | `misuse` | options and positions that are refused |
//! | `copy` | backups of live, dead and damaged logs
//! | `repair` | what is kept, and what is lost, of damaged logs
//! | `inspection` | what is shown of a log in any state
//! | `readonly` | a reader beside a writer; verification |
//! | `hold` | what keeps the head back, in this process and after it |
//! | `tail` | records as they come; who waits is told, and costs nobody anything |
//! | `task` | tails polled by tasks; appends beside tails make no system call |
//! | `follow` | a reader that waits for what another process appends |
//! | `live` | readers in processes of their own beside a writer that is killed |
//! | `fork` | a forked child is refused, and keeps nothing |
//! | `life` | files that share blocks with a copy; segments that the page cache lost |
//! | `scrub` | discarded payloads in files that are used again |
//! | `memory` | logs without a file system |
//! | `mended` | faults that were found and mended |
//! | `kill` | acknowledged ⊆ recovered ⊆ attempted, over many deaths |
//! | `device` | bytes that a commit writes to the block device |
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets an error it does not expect has failed"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "the narrowed numbers are small or random"
)]
#![expect(
    clippy::print_stdout,
    reason = "figures and seeds are shown with a failing test"
)]

mod append;
mod bad;
mod beat;
mod company;
mod copy;
mod critical;
mod device;
mod follow;
mod fork;
mod full;
mod hold;
mod inspection;
mod kill;
mod life;
mod live;
mod memory;
mod mended;
mod misuse;
mod readonly;

mod reopen;
mod repair;
mod reserve;
mod rewind;
mod rotate;
mod scene;
mod scrub;
mod space;
mod sync;
mod tail;
mod task;
mod user;
