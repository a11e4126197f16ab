function [Y,Xf,Af] = fit_cells(X,~,~)
%   x = 3xQ matrix, input #1

% ===== CONSTANTS =====

% Input 1
x1_step1.xoffset = [-0.8647500128893757;-0.88823110002854833;-0.99990094197921042];
x1_step1.gain = [0.16857256704935777;0.1784549213512335;0.16998353238674627];
x1_step1.ymin = -1;

% Layer 1
b1 = [1.9923082707006998;-1.4160641908431801;-0.1655809467513378;1.6271466552158975];
IW1_1 = [-1.9404330554393225 1.7129802161086456 -1.3840654985412324;0.89343659375147588 -0.34604358263789442 -0.16384088894912399;0.77475372320763414 -1.2553405307827112 1.5988189074840342;-1.9020472081505631 1.9982489309829898 -1.9609962590451799];

% Layer 2
b2 = [1.0156577139441754;0.60189743960865705];
LW2_1 = [-1.8190040167286929 -0.6528390653257522 1.940782382196131 0.32438873330682844;1.8376152907566587 -0.9555383002323613 -1.6697405052414056 1.2265731513171529];

% Output 1
y1_step1.xoffset = [-10.871857021763482;-10.998356677245786];
y1_step1.gain = [0.25411867644348285;0.25036603524942092];
y1_step1.ymin = -1;

% ===== SIMULATION ========

isCellX = iscell(X);
if ~isCellX, X = {X}; end;
TS = size(X,2); % timesteps
Q = size(X{1},2);
Y = cell(1,TS);
for ts=1:TS

Xp1 = mapminmax_apply(X{1,ts},x1_step1);
a1 = tansig_apply(repmat(b1,1,Q) + IW1_1*Xp1);
a2 = repmat(b2,1,Q) + LW2_1*a1;
temp = mapminmax_reverse(a2,y1_step1);
y1 = temp;
Y{1,ts} = y1;
end
if ~isCellX, Y = cell2mat(Y); end
end

function y = mapminmax_apply(x,settings)
y = (x - settings.xoffset) .* settings.gain + settings.ymin;
end

function x = mapminmax_reverse(y,settings)
x = (y - settings.ymin) ./ settings.gain + settings.xoffset;
end

function a = tansig_apply(n,~)
a = 2 ./ (1 + exp(-2*n)) - 1;
end
