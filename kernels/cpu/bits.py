"""Counting and finding the bits of a word in one instruction of the processor."""

from numba import types
from numba.extending import intrinsic

__all__ = ["bit_count", "lowest_bit"]


@intrinsic
def bit_count(typingctx, word):
    """Bits of an unsigned integer that are set."""

    def generate(context, builder, signature, arguments):
        found = builder.ctpop(arguments[0])
        return context.cast(builder, found, signature.args[0], types.intp)

    return types.intp(word), generate


@intrinsic
def lowest_bit(typingctx, word):
    """Place of the lowest bit set of an unsigned integer that is not 0."""

    def generate(context, builder, signature, arguments):
        found = builder.cttz(arguments[0], context.get_constant(types.boolean, True))
        return context.cast(builder, found, signature.args[0], types.intp)

    return types.intp(word), generate
