"""signal's functions show and do for every signal what they show and do plain."""
# fast
# $ python PROGRAM => -15
# $ python PROGRAM called => -15
# $ python -X dev PROGRAM called => -15
# $ nohup python PROGRAM called => -15

import os
import signal
import sys
import threading
import time

if len(sys.argv) > 1:
    import requests

    requests.get(os.environ["WEB"])


def show(*names):
    print(names, [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)])


def handler(number, frame):
    print("handled", signal.Signals(number).name, frame.f_code.co_filename == __file__)


show("start")
for number in (signal.SIGTERM, signal.SIGHUP):
    print(signal.signal(number, handler))
    show("own")
    os.kill(os.getpid(), number)
    print(signal.signal(number, signal.SIG_IGN) is handler, signal.getsignal(number))
    os.kill(os.getpid(), number)
    print(signal.signal(number, signal.SIG_DFL), signal.getsignal(number))
    print(signal.signal(number, handler), signal.signal(number, signal.SIG_DFL) is handler)
    signal.siginterrupt(number, False)
    signal.siginterrupt(number, True)
read, write = os.pipe()
os.set_blocking(write, False)
print(signal.set_wakeup_fd(write))
signal.signal(signal.SIGTERM, handler)
os.kill(os.getpid(), signal.SIGTERM)
print(os.read(read, 10), signal.set_wakeup_fd(-1) == write)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
print(signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP}))
os.kill(os.getpid(), signal.SIGTERM)
print(signal.sigpending(), signal.sigwait({signal.SIGTERM}), signal.sigpending())
threading.Timer(0.1, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGHUP)).start()
print(signal.sigwaitinfo({signal.SIGHUP}).si_signo, signal.sigtimedwait({signal.SIGHUP}, 0.01))
print(signal.pthread_sigmask(signal.SIG_SETMASK, set()))
signal.signal(signal.SIGALRM, handler)
signal.alarm(1)
signal.pause()
print(signal.alarm(0) in (0, 1), signal.setitimer(signal.ITIMER_REAL, 0.05))
time.sleep(0.2)
print(signal.getitimer(signal.ITIMER_REAL), signal.strsignal(15), signal.SIGTERM in signal.valid_signals())
thread = threading.Thread(target=lambda: signal.signal(signal.SIGTERM, handler))
thread.start()
thread.join()
show("end")
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(5)
