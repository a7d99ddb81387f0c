// SHA-256 (FIPS 180-4, §6.2) of several messages at once. Inside one message each instruction waits for the one before
// (four to six cycles): with the processor's own instructions for it two go at 1.5 times the rate of one after the
// other, and sixteen in the lanes of 512-bit registers at 2.7 times (Zen 5).
#pragma once

#include <stddef.h>
#include <stdint.h>

// 1 when this processor has instructions for SHA-256; without them neither of the next two may be called.
int ch_has_sha256(void);

// Works `blocks` blocks of 64 bytes into a state H0…H7.
void ch_sha256(uint32_t state[8], const uint8_t *data, size_t blocks);

// The same for as many blocks of two messages, each with a state of its own.
void ch_sha256_two(uint32_t *const states[2], const uint8_t *const data[2], size_t blocks);

// 1 when this processor has 512-bit registers of 32-bit lanes; without them the next one may not be called.
int ch_has_sixteen(void);

// The same for as many blocks of sixteen messages; `states[16 * i + lane]` is Hi of the message `data[lane]`. The blocks
// are copied to `copies[lane]` (64-byte aligned) on the way; NULL = that message's are not.
void ch_sha256_sixteen(
    uint32_t states[8 * 16], const uint8_t *const data[16], uint8_t *const copies[16], size_t blocks);
