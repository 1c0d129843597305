/* Only for tests under Wine: version 8 lacks bcryptprimitives.dll, where Rust's standard library looks for its random
 * bytes, and without which no program starts. Gives what advapi32 gives. Never shipped. */
#include <windows.h>
#include <ntsecapi.h>

#define AT_ONCE 65536

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *bytes, SIZE_T length)
{
    SIZE_T done = 0;
    while (done < length) {
        ULONG part = length - done < AT_ONCE ? (ULONG)(length - done) : AT_ONCE;
        if (!RtlGenRandom(bytes + done, part))
            return FALSE;
        done += part;
    }
    return TRUE;
}
