use super::*;

/// A line a type: its name, random blocks, and what the `gguf` package (0.19) dequantises them to, both as hexadecimal bytes.
const GOLDEN: &str = include_str!("../golden/blocks.txt");

fn bytes(hexadecimal: &str) -> Vec<u8> {
    hexadecimal
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("digits"))
        .collect()
}

fn dtype(name: &str) -> Dtype {
    let all = [GgmlType::Q4_0, GgmlType::Q4_1, GgmlType::Q8_0, GgmlType::Q4_K, GgmlType::Q6_K].map(Dtype::Ggml);
    let all = all.into_iter().chain([Dtype::F32, Dtype::F16, Dtype::BF16]);
    all.into_iter().find(|dtype| dtype.name() == name).expect("a known type")
}

fn golden() -> Vec<(Dtype, Vec<u8>, Vec<u32>)> {
    let line = |line: &str| {
        let mut parts = line.split(' ');
        let mut next = || parts.next().expect("three parts");
        let (name, stored, values) = (next(), next(), next());
        let values = bytes(values).as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        (dtype(name), bytes(stored), values)
    };
    GOLDEN.lines().map(line).collect()
}

#[test]
fn blocks_are_bit_equal_to_the_reference() {
    let golden = golden();
    assert_eq!(golden.len(), 8);
    for (dtype, stored, expected) in golden {
        let mut out = vec![0.0; expected.len()];
        to_f32(dtype, &stored, &mut out);
        let bits: Vec<u32> = out.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, expected, "{}", dtype.name());
    }
}

#[test]
fn several_threads_give_what_one_gives() {
    for (dtype, stored, _) in golden() {
        // Not a multiple of the threads.
        let stored = stored.repeat(7);
        let mut one = vec![0.0; stored.len() / dtype.block_bytes() * dtype.block_elements()];
        let mut many = one.clone();
        convert(dtype, &stored, &mut one);
        convert_in_parts(dtype, &stored, &mut many, 5);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(bits(&one) == bits(&many), "{}", dtype.name());
    }
}
