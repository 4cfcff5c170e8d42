from vicinal.nn.losses import *
