"""Asking for memory before it is needed."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["prefetch"]


@intrinsic
def prefetch(typingctx, array, index):
    """Ask for the cache line that holds ``array.flat[index]`` of a contiguous array, to be read and written soon.

    A hint to the processor: nothing is read, so the index may lie outside the array.

    Parameters
    ----------
    array : ndarray
    index : int
    """

    def generate(context, builder, signature, arguments):
        held = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, number = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        address = builder.bitcast(builder.gep(held.data, [arguments[1]]), byte)
        write, keep, data = 1, 3, 1
        builder.call(function, [address, *(ir.Constant(number, n) for n in (write, keep, data))])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
