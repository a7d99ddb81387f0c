// SHA-256 (FIPS 180-4, §6.2) of two messages at once, by the processor's own instructions. Inside one message each of
// them waits for the one before (four to six cycles), so that two go at 1.6 times the rate of one after the other.
#pragma once

#include <stddef.h>
#include <stdint.h>

// 1 when this processor has the instructions; without them nothing below may be called.
int ch_has_sha256(void);

// Works `blocks` blocks of 64 bytes into a state H0…H7.
void ch_sha256(uint32_t state[8], const uint8_t *data, size_t blocks);

// The same for as many blocks of two messages, each with a state of its own.
void ch_sha256_two(uint32_t *const states[2], const uint8_t *const data[2], size_t blocks);
