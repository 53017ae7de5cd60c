//! Tests of the two parts of a segment's header: round trips, and each rule refusing by its name.

use super::*;

fn prepared() -> Prepared {
    Prepared {
        uuid: Uuid::from_bytes([7; 16]),
        segment: 5,
        size: 1 << 20,
        incompat: 0,
    }
}

fn activation() -> Activation {
    Activation {
        salt: Salt::new(0x0102_0304),
        segment: 5,
        previous: Some(PreviousEnd {
            seal: 8192,
            salt: Salt::new(9),
            last_epoch: Some(8128),
        }),
        durable: Lsn::new(4, 8192),
        last_rewind: Lsn::new(3, 4096),
    }
}

fn block_with(activation: &Activation) -> [u8; BLOCK_LEN] {
    let mut block = encode_block(&prepared());
    put(&mut block, ACTIVATION_AT, activation.encode(&prepared()));
    block
}

/// The fault of the sealed prepared part after `alter`.
fn header_fault(alter: impl FnOnce(&mut Part)) -> HeaderFault {
    let mut part = prepared().encode();
    alter(&mut part);
    seal(&mut part, Checksum::EMPTY);
    decode_prepared(&part).unwrap_err()
}

/// The fault of the sealed activation part after `alter`.
fn activation_fault(alter: impl FnOnce(&mut Part)) -> ActivationFault {
    let mut part = activation().encode(&prepared());
    alter(&mut part);
    seal(&mut part, prepared().checksum());
    let mut block = encode_block(&prepared());
    put(&mut block, ACTIVATION_AT, part);
    decode_activation(&block, &prepared()).unwrap_err()
}

#[test]
fn both_parts_round_trip() {
    let block = block_with(&activation());
    assert_eq!(decode_prepared(&block), Ok(prepared()));
    assert_eq!(decode_activation(&block, &prepared()), Ok(activation()));
}

#[test]
fn the_first_segment_has_none_before_it() {
    let first = Activation {
        previous: None,
        durable: None,
        last_rewind: None,
        ..activation()
    };
    assert_eq!(
        decode_activation(&block_with(&first), &prepared()),
        Ok(first)
    );
}

#[test]
fn sizes_at_the_limits_are_accepted() {
    for size in [8192, 1 << 30] {
        let prepared = Prepared { size, ..prepared() };
        assert_eq!(decode_prepared(&prepared.encode()), Ok(prepared));
    }
}

#[test]
fn a_ready_file_has_no_activation() {
    let block = encode_block(&prepared());
    assert_eq!(
        decode_activation(&block, &prepared()),
        Err(ActivationFault::Absent)
    );
}

#[test]
fn an_activation_dies_with_its_prepared_part() {
    let block = block_with(&activation());
    for other in [
        Prepared {
            segment: 6,
            ..prepared()
        },
        Prepared {
            size: 1 << 21,
            ..prepared()
        },
    ] {
        assert_eq!(
            decode_activation(&block, &other),
            Err(ActivationFault::BadChecksum)
        );
    }
}

#[test]
fn each_rule_of_the_prepared_part_refuses_by_its_name() {
    assert_eq!(decode_prepared(&[0; 63]), Err(HeaderFault::TooShort));
    assert_eq!(decode_prepared(&[0; 64]), Err(HeaderFault::Absent));
    assert_eq!(header_fault(|part| part[7] = b'A'), HeaderFault::BadMagic);
    assert_eq!(
        header_fault(|part| part[8] = 1),
        HeaderFault::NewerVersion(1)
    );
    assert_eq!(
        header_fault(|part| part[12] = 4),
        HeaderFault::UnknownFeatures(4)
    );
    assert_eq!(
        header_fault(|part| part[36] = 1),
        HeaderFault::ReservedNotZero
    );
    assert_eq!(
        header_fault(|part| part[59] = 1),
        HeaderFault::ReservedNotZero
    );
    assert_eq!(header_fault(|part| part[32] = 0), HeaderFault::NoSegment);
    for size in [0, 4096, 8193, 8704, (1 << 30) + 4096, u64::MAX] {
        let fault = header_fault(|part| put(part, 40, u64::to_le_bytes(size)));
        assert_eq!(fault, HeaderFault::BadSize(size));
    }
}

#[test]
fn every_flipped_bit_of_the_header_is_seen() {
    let mut block = block_with(&activation());
    for bit in (0..PART_LEN * 8).chain(ACTIVATION_AT * 8..(ACTIVATION_AT + PART_LEN) * 8) {
        block[bit / 8] ^= 1 << (bit % 8);
        let read = decode_prepared(&block).map(|prepared| decode_activation(&block, &prepared));
        assert!(!matches!(read, Ok(Ok(_))), "bit {bit}");
        block[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn each_rule_of_the_activation_part_refuses_by_its_name() {
    assert_eq!(
        decode_activation(&[0; 575], &prepared()),
        Err(ActivationFault::TooShort)
    );
    assert_eq!(
        activation_fault(|part| part[7] = b'S'),
        ActivationFault::BadMagic
    );
    assert_eq!(
        activation_fault(|part| part[16] = 6),
        ActivationFault::WrongSegment(6)
    );
    assert_eq!(
        activation_fault(|part| part[36] = 1),
        ActivationFault::ReservedNotZero
    );
    assert_eq!(
        activation_fault(|part| part[56] = 1),
        ActivationFault::ReservedNotZero
    );
    assert_eq!(
        activation_fault(|part| put(part, 20, 511_u32.to_le_bytes())),
        ActivationFault::BadSeal
    );
    assert_eq!(
        activation_fault(|part| put(part, 20, 131_073_u32.to_le_bytes())),
        ActivationFault::BadSeal
    );
    assert_eq!(
        activation_fault(|part| put(part, 20, 0_u32.to_le_bytes())),
        ActivationFault::BadEpoch
    );
    assert_eq!(
        activation_fault(|part| put(part, 32, 1017_u32.to_le_bytes())),
        ActivationFault::BadEpoch
    );
    assert_eq!(
        activation_fault(|part| put(part, 32, 511_u32.to_le_bytes())),
        ActivationFault::BadEpoch
    );
    assert_eq!(
        activation_fault(|part| put(part, 40, 8_u64.to_le_bytes())),
        ActivationFault::BadDurable
    );
    assert_eq!(
        activation_fault(|part| put(part, 44, 6_u32.to_le_bytes())),
        ActivationFault::BadDurable
    );
    for word in [8, 5 << 32 | 512, 4 << 32 | 511] {
        assert_eq!(
            activation_fault(|part| put(part, 48, u64::to_le_bytes(word))),
            ActivationFault::BadRewind
        );
    }
}

#[test]
fn the_first_segment_refuses_one_before_it() {
    let prepared = Prepared {
        segment: 1,
        ..prepared()
    };
    let activation = Activation {
        segment: 1,
        durable: None,
        ..activation()
    };
    let mut block = encode_block(&prepared);
    put(&mut block, ACTIVATION_AT, activation.encode(&prepared));
    assert_eq!(
        decode_activation(&block, &prepared),
        Err(ActivationFault::BadSeal)
    );
}
