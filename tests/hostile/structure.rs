//! Headers, `COOKIE` and `MANIFEST` with correct checksums and fields that no writer writes.

use crate::forge::{put_u32, put_u64, seal, u64_at, word};
use crate::forgery::{Edit, Forgery};
use crate::history::Log;
use crate::image::segment_name;

/// The activation part of each segment with one field changed, and of the one that is ready.
pub(crate) fn activations(log: &Log) -> Vec<Forgery> {
    let mut forgeries = Vec::new();
    let values = [0, 1, 511, 512, 513, 1023, 1024, 1025, u32::MAX];
    let words = [
        0,
        1,
        512,
        1 << 32,
        log.claims.end.word(),
        log.claims.end.word() + 1,
        u64::MAX,
    ];
    for id in log.image.segments() {
        let name = segment_name(id);
        let block = &log.image.get(&name).expect("it is there")[..4096];
        let mut changed = |what: String, alter: &dyn Fn(&mut [u8])| {
            let mut bytes = block.to_vec();
            if u64_at(&bytes, 512) == 0 {
                bytes[512..520].copy_from_slice(b"SEGWAL\0A");
                put_u32(&mut bytes, 528, id);
                put_u32(
                    &mut bytes,
                    532,
                    u32::try_from(log.claims.end.offset / 8).expect("small"),
                );
                put_u64(&mut bytes, 536, log.claims.end.salt());
                put_u32(
                    &mut bytes,
                    544,
                    u32::try_from(log.claims.end.last_epoch / 8).expect("small"),
                );
            }
            alter(&mut bytes);
            let prepared = crc32c::crc32c(&bytes[..60]);
            seal(&mut bytes, 512, prepared);
            let file = name.clone();
            let edit = Edit { file, at: 0, bytes };
            forgeries.push(Forgery::of_structure(
                format!("activation of {id}: {what}"),
                edit,
            ));
        };
        changed("none".to_owned(), &|_| {});
        for at in [528, 532, 544, 548, 560] {
            for value in values {
                changed(format!("{value} at {at}"), &|bytes| {
                    put_u32(bytes, at, value);
                });
            }
        }
        for at in [520, 536, 552] {
            for word in words {
                changed(format!("{word:#x} at {at}"), &|bytes| {
                    put_u64(bytes, at, word);
                });
            }
        }
    }
    forgeries
}

/// The prepared part of each segment with one field changed.
pub(crate) fn prepared(log: &Log) -> Vec<Forgery> {
    let mut forgeries = Vec::new();
    for id in log.image.segments() {
        let file = segment_name(id);
        let block = &log.image.get(&file).expect("it is there")[..4096];
        for at in [0, 8, 12, 16, 32, 36, 40, 44, 48, 56] {
            for value in [0, 1, 2, id, id + 1, 4096, 1 << 30, 1 << 31, u32::MAX] {
                for follows in [false, true] {
                    let mut bytes = block.to_vec();
                    put_u32(&mut bytes, at, value);
                    seal(&mut bytes, 0, 0);
                    if follows && u64_at(&bytes, 512) != 0 {
                        let before = crc32c::crc32c(&bytes[..60]);
                        seal(&mut bytes, 512, before);
                    }
                    let what = format!("prepared part of {id}: {value} at {at}, {follows}");
                    let edit = Edit {
                        file: file.clone(),
                        at: 0,
                        bytes,
                    };
                    forgeries.push(Forgery::of_structure(what, edit));
                }
            }
        }
    }
    forgeries
}

/// Slots of `COOKIE` that say anything.
pub(crate) fn cookies(log: &Log) -> Vec<Forgery> {
    let cookie = log.image.get("COOKIE").expect("it is there");
    let manifest = log.image.get("MANIFEST").expect("it is there");
    let end = log.claims.end.word();
    let starts = log.entries.iter().map(|entry| word(entry.lsn));
    let odd = [
        0,
        511,
        512,
        1 << 32,
        (1 << 32) + 512,
        end - 1,
        end,
        end + 1,
        end + (1 << 32),
        u64::MAX,
        u64::MAX - 3,
    ];
    let lsns: Vec<u64> = starts.chain(odd).collect();
    let mut forgeries = Vec::new();
    for (block, magic) in [(0, b'D'), (1, b'D'), (2, b'H'), (3, b'H'), (4, b'C')] {
        let generations = [
            0,
            1,
            2,
            3,
            1 << 62,
            (1 << 62) + 1,
            u64::MAX - 2,
            u64::MAX - 1,
            u64::MAX,
        ];
        for generation in generations {
            for &lsn in &lsns {
                let at = block * 4096;
                let mut bytes = cookie[at..at + 64].to_vec();
                bytes[..8].copy_from_slice(&[b'S', b'E', b'G', b'W', b'A', b'L', 0, magic]);
                put_u64(&mut bytes, 8, generation);
                put_u64(&mut bytes, 16, lsn);
                bytes[24..40].copy_from_slice(&manifest[24..40]);
                seal(&mut bytes, 0, 0);
                let what = format!("slot {block} of COOKIE: generation {generation}, LSN {lsn:#x}");
                let file = "COOKIE".to_owned();
                let edit = Edit { file, at, bytes };
                forgeries.push(Forgery::of_structure(what, edit));
            }
        }
    }
    forgeries.push(newborn(manifest));
    forgeries
}

/// `COOKIE` as a creation that never ended leaves it.
fn newborn(manifest: &[u8]) -> Forgery {
    let mut bytes = vec![0; 5 * 4096];
    for (at, magic) in [(4096, b'D'), (3 * 4096, b'H')] {
        bytes[at..at + 8].copy_from_slice(&[b'S', b'E', b'G', b'W', b'A', b'L', 0, magic]);
        put_u64(&mut bytes, at + 8, 1);
        put_u64(&mut bytes, at + 16, (1 << 32) + 512);
        bytes[at + 24..at + 40].copy_from_slice(&manifest[24..40]);
        seal(&mut bytes, at, 0);
    }
    let file = "COOKIE".to_owned();
    let edit = Edit { file, at: 0, bytes };
    Forgery::of_structure("COOKIE of an unfinished creation".to_owned(), edit)
}

/// `MANIFEST` with one field changed.
pub(crate) fn manifests(log: &Log) -> Vec<Forgery> {
    let manifest = log.image.get("MANIFEST").expect("it is there");
    let mut forgeries = Vec::new();
    for at in [0, 8, 12, 16, 20, 24, 40, 44, 48, 52, 56] {
        for value in [
            0,
            1,
            2,
            64,
            4096,
            4097,
            8192,
            12288,
            1 << 20,
            1 << 30,
            1 << 31,
            u32::MAX,
        ] {
            let mut bytes = manifest.to_vec();
            put_u32(&mut bytes, at, value);
            seal(&mut bytes, 0, 0);
            let what = format!("MANIFEST: {value} at {at}");
            let file = "MANIFEST".to_owned();
            let edit = Edit { file, at: 0, bytes };
            forgeries.push(Forgery::of_structure(what, edit));
        }
    }
    forgeries
}
