"""How kernels are compiled: the functions that only they call are optimised where they are linked in, and only there.

Numba would optimise each of these on its own first, and make machine code of it that nobody runs: a fifth of the time
that compiling takes. What is linked into a caller goes through the same optimisation there once more.
"""

import gc

try:
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import Compiler
except ImportError:  # these are no public names: without them, compiling takes longer
    KERNEL, PART = None, None
else:

    class _Linked(JITCodeLibrary):
        """Code as it was generated, for its callers to link in."""

        def _optimize_final_module(self):
            pass

        def _finalize_final_module(self):
            self._finalize_dynamic_globals()
            self._finalized = True

        def get_pointer_to_function(self, name):
            return 0  # there is no machine code

        @property
        def codegen(self):
            return _WithoutEnvironment(self._codegen)

    class _WithoutEnvironment:
        """A code generator that does not look for a function's variables in machine code; `KERNEL` sets them."""

        def __init__(self, codegen):
            self._codegen = codegen

        def __getattr__(self, name):
            return getattr(self._codegen, name)

        def set_env(self, name, environment):
            pass

    class PART(Compiler):
        """Compiles what only compiled functions call."""

        def define_pipelines(self):
            state = self.state
            state.library = _Linked(state.targetctx.codegen(), state.func_id.func_qualname)
            return super().define_pipelines()

    class KERNEL(Compiler):
        """Compiles what is called from Python, without pauses to look for cycles among the objects of the compiler."""

        def _compile_core(self):
            pausing = gc.isenabled()
            gc.disable()
            try:
                found = super()._compile_core()
            finally:
                if pausing:
                    gc.enable()
            for environment in found._find_referenced_environments():
                found.library.codegen.set_env(environment.env_name, environment)
            return found
