/* Included ahead of every C file (see scripts/bench/peer.go). The driver brings portable C
   as its cryptography; OpenSSL, which SQLCipher itself prefers, uses what the processor has. */
#undef SQLCIPHER_CRYPTO_LIBTOMCRYPT
#define SQLCIPHER_CRYPTO_OPENSSL
