//! [`report_sigbus`]: the file behind a `SIGBUS`, named on standard error before the process dies of it.
//!
//! A store into a mapped page that the disk cannot hold, or that is not in the file any more, is a signal and no error
//! code. The log does what it can so that none arises; what remains (a device that is gone, a file cut by another program
//! between two looks at it) kills the process, and the default message names nothing. The library never installs a handler
//! of its own accord: signals are the application's.
//!
//! # Protocol
//! The handler looks the address up in `/proc/self/maps`, by calls that are allowed in a handler and on a stack of a few
//! KiB; writes one line to descriptor 2; puts the handler of before back, and returns. The access faults again, and the
//! handler of before does what it always did: by default, the process dies with `SIGBUS`, and leaves a core.
//!
//! # Invariants
//! * B1. The handler allocates nothing, takes no lock, and leaves `errno` as it was.
//! * B2. The handler of before is known before ours is installed.

#![expect(
    unsafe_code,
    reason = "signal handlers, and the calls that they may make, have no wrapper in std"
)]

use std::io;
use std::mem::MaybeUninit;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::{Error, ErrorKind, Result};

static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
static INSTALLING: Mutex<()> = Mutex::new(());

/// Names the file on standard error if this process dies of a `SIGBUS`.
///
/// For the whole process, and for good; a second call changes nothing. The handler that was installed before runs next, so
/// that the process ends as it would have. One line of this form is written, for any mapped file, the log's or another's:
///
/// ```text
/// segwal: SIGBUS at byte 8192 of /db-wal/00000000000000000007.seg: the file was cut, or its device failed or is full
/// ```
///
/// # Errors
/// [`OutOfResources`](ErrorKind::OutOfResources) if the system refuses the handler.
///
/// ```
/// # fn main() -> segwal::Result<()> {
/// segwal::report_sigbus()?;
/// # Ok(())
/// # }
/// ```
pub fn report_sigbus() -> Result<()> {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if BEFORE.get().is_some() {
        return Ok(());
    }
    install().map_err(|error| {
        Error::new(
            ErrorKind::OutOfResources,
            "the handler of SIGBUS cannot be installed",
        )
        .caused_by(error)
    })
}

fn install() -> io::Result<()> {
    // B2.
    let before = BEFORE.get_or_init(current);
    let mut ours = *before;
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = report;
    ours.sa_sigaction = handler as libc::sighandler_t;
    // Rust gives its threads a stack for handlers; where there is none, the flag changes nothing.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the action is whole, and its handler keeps to B1; no old action is asked for.
    match unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn current() -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks for the action of a signal that exists, into a local; cannot fail.
    unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: written by the call, and zero is a valid action as well.
    unsafe { action.assume_init() }
}

extern "C" fn report(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid record to a handler with SA_SIGINFO.
    let info = unsafe { &*info };
    // SAFETY: the thread's own errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above; B1.
    let saved = unsafe { *errno };
    // A positive code is a fault of this thread; others were sent.
    let is_fault = info.si_code > 0;
    if is_fault {
        // SAFETY: a fault's record has an address.
        say(unsafe { info.si_addr() } as usize);
    }
    if let Some(before) = BEFORE.get() {
        // SAFETY: the action is the one that the kernel gave (B2).
        unsafe { libc::sigaction(signal, before, std::ptr::null_mut()) };
    }
    if !is_fault {
        // SAFETY: blocked until this handler returns, and then the handler of before gets it.
        unsafe { libc::raise(signal) };
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
}

fn say(address: usize) {
    let mut search = Search::new(address);
    read_maps(|byte| search.take(byte));
    let mut line = Line::default();
    line.push(b"segwal: SIGBUS at ");
    match search.found() {
        Some((offset, path)) => {
            line.push(b"byte ");
            line.push_number(offset);
            line.push(b" of ");
            line.push(path);
            line.push(b": the file was cut, or its device failed or is full\n");
        }
        None => line.push(b"an address that no mapped file has\n"),
    }
    // SAFETY: the bytes live throughout the call. Nobody is left to tell of an error.
    unsafe { libc::write(libc::STDERR_FILENO, line.bytes().as_ptr().cast(), line.len) };
}

/// Hands over the bytes of `/proc/self/maps` until `take` has enough.
fn read_maps(mut take: impl FnMut(u8) -> Looking) {
    let name = c"/proc/self/maps";
    // SAFETY: the path ends in a zero byte.
    let file = unsafe { libc::open(name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return;
    }
    let mut buffer = [0_u8; 512];
    loop {
        // SAFETY: the kernel writes at most the buffer's length into it.
        let count = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
        let count = usize::try_from(count).unwrap_or(0).min(buffer.len());
        let ended = buffer[..count]
            .iter()
            .any(|&byte| take(byte) == Looking::Done);
        if count == 0 || ended {
            break;
        }
    }
    // SAFETY: opened above, and nobody else's.
    unsafe { libc::close(file) };
}

/// Whether the search goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looking {
    On,
    Done,
}

/// Some bytes of a line; what is beyond is left out.
#[derive(Debug)]
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; 512],
            len: 0,
        }
    }
}

impl Line {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, more: &[u8]) {
        let count = more.len().min(self.bytes.len() - self.len);
        self.bytes[self.len..self.len + count].copy_from_slice(&more[..count]);
        self.len += count;
    }

    fn push_number(&mut self, number: u64) {
        let mut digits = [0_u8; 20];
        let mut rest = number;
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.push(&digits[first..]);
    }
}

/// The search for an address in lines of the form `start-end rwxs offset device inode   path`.
#[derive(Debug)]
struct Search {
    address: u64,
    line: Line,
    found: Option<(u64, usize)>,
}

impl Search {
    fn new(address: usize) -> Self {
        Self {
            address: address as u64,
            line: Line::default(),
            found: None,
        }
    }

    fn take(&mut self, byte: u8) -> Looking {
        if byte != b'\n' {
            self.line.push(&[byte]);
            return Looking::On;
        }
        self.found = self.judge();
        if self.found.is_some() {
            return Looking::Done;
        }
        self.line.len = 0;
        Looking::On
    }

    /// The byte of the file, and where its path begins in the line, if the line is the one.
    fn judge(&self) -> Option<(u64, usize)> {
        let line = self.line.bytes();
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let mut range = fields.next()?.split(|&byte| byte == b'-');
        let (start, end) = (hexadecimal(range.next()?)?, hexadecimal(range.next()?)?);
        if !(start..end).contains(&self.address) {
            return None;
        }
        let offset = hexadecimal(fields.nth(1)?)?;
        let path = fields.nth(2)?;
        let blanks = path.iter().take_while(|&&byte| byte == b' ').count();
        let at = line.len() - path.len() + blanks;
        (at < line.len()).then(|| (offset + (self.address - start), at))
    }

    fn found(&self) -> Option<(u64, &[u8])> {
        let (offset, at) = self.found?;
        Some((offset, self.line.bytes().get(at..)?))
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        number.checked_mul(16)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
7f0000000000-7f0000002000 rw-s 00001000 fe:00 132                        /log dir/00000000000000000007.seg
7f0000002000-7f0000003000 r--p 00000000 00:00 0 
7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]
";

    fn find(address: usize) -> Option<(u64, String)> {
        let mut search = Search::new(address);
        for &byte in MAPS.as_bytes() {
            if search.take(byte) == Looking::Done {
                break;
            }
        }
        let (offset, path) = search.found()?;
        Some((offset, String::from_utf8(path.to_vec()).unwrap()))
    }

    #[test]
    fn an_address_is_found_with_its_file_and_byte() {
        let segment = "/log dir/00000000000000000007.seg".to_owned();
        assert_eq!(find(0x7f00_0000_0000), Some((0x1000, segment.clone())));
        assert_eq!(find(0x7f00_0000_1fff), Some((0x2fff, segment)));
        assert_eq!(find(0x7f00_0000_3000), None);
        assert_eq!(find(0x7fff_ffff_0000).unwrap().1, "[stack]");
    }

    #[test]
    fn a_mapping_without_a_file_has_no_name() {
        assert_eq!(find(0x7f00_0000_2000), None);
    }

    #[test]
    fn numbers_and_long_paths_fit_or_are_cut() {
        let mut line = Line::default();
        line.push_number(0);
        line.push_number(u64::MAX);
        assert_eq!(line.bytes(), b"018446744073709551615");
        line.push(&[b'x'; 1000]);
        assert_eq!(line.len, 512);
    }

    #[test]
    fn the_maps_of_this_process_name_the_file_of_its_code() {
        let mut search = Search::new(say as *const () as usize);
        read_maps(|byte| search.take(byte));
        let (_, path) = search.found().unwrap();
        let exe = std::env::current_exe().unwrap();
        assert_eq!(path, exe.as_os_str().as_encoded_bytes());
    }
}
