/// Bytes as lower-case hex digits.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn bytes_as_hex() {
        assert_eq!(hex([0, 15, 16, 255]), "000f10ff");
    }
}
